-- Which process has each epoch: all incarnations of one are named alike. Whoever is fenced off
-- tells by it whether that was one of its own kin or a process of another system.
ALTER TABLE epochs ADD COLUMN holder text NOT NULL DEFAULT '';
