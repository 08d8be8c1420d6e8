-- How many rows are expected, and found; and those that are in the one and not in the other.
SELECT (SELECT count(*) FROM expected) AS expected, (SELECT count(*) FROM found) AS found,
    (SELECT count(*) FROM (TABLE expected EXCEPT ALL TABLE found) AS missing)
        + (SELECT count(*) FROM (TABLE found EXCEPT ALL TABLE expected) AS excess) AS differ
