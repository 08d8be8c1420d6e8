-- Projections: tables of users. What there is to be read are the views of the schema `projections`;
-- the tables below them have numbers, so that one can be built beside another and take its place.
CREATE SCHEMA projections;
CREATE SCHEMA projection_tables;

COMMENT ON SCHEMA projections IS 'A view for each projection: its rows, by key.';
COMMENT ON SCHEMA projection_tables IS 'The tables below the views of the schema projections.';

CREATE SEQUENCE projection_numbers;

CREATE TABLE projection_tables.known (
    program text   PRIMARY KEY,  -- NAME, or NAME.rebuild for one that is built anew
    number  bigint NOT NULL UNIQUE DEFAULT nextval('projection_numbers'),
    columns jsonb  NOT NULL  -- [[name, type, may it be null], ...]
);
