-- What is to be done, by run. Few at any time, of however many cancellations.
CREATE INDEX cancellations_open ON cancellations (run_id, received_at) WHERE outcome IS NULL;
