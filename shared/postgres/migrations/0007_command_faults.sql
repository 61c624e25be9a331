-- What was wrong with the information in a command that was carried out all the same, by field.
ALTER TABLE cancellations
    ADD COLUMN faults jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(faults) = 'object');
