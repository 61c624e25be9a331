-- What is to be done, by run. Few at any time, of however many cancellations.
CREATE INDEX cancellations_open ON cancellations (run_id, received_at) WHERE outcome IS NULL;

-- How often a worker took the command up that had not begun with it.
ALTER TABLE cancellations ADD COLUMN taken_up integer NOT NULL DEFAULT 0;
