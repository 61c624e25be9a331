-- The services' own roles: what each needs, and no more. Applied by psql as the owner of the
-- schema after each migration, so that changed passwords and new tables are taken over. Passwords
-- come from the environment and so appear in no argument list.
\getenv gateway_password GATEWAY_PASSWORD
\getenv worker_password WORKER_PASSWORD
\getenv ops_password OPS_PASSWORD

SELECT format('CREATE ROLE %I LOGIN', name)
  FROM unnest(ARRAY['gateway', 'worker', 'ops']) AS name
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
\gexec
-- Nobody logs in as this one: it is to be granted to the role of the platform that queues runs.
SELECT 'CREATE ROLE platform NOLOGIN'
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'platform')
\gexec
ALTER ROLE gateway PASSWORD :'gateway_password';
ALTER ROLE worker PASSWORD :'worker_password';
ALTER ROLE ops PASSWORD :'ops_password';

REVOKE ALL ON DATABASE :"DBNAME" FROM PUBLIC;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT CONNECT ON DATABASE :"DBNAME" TO gateway, worker, ops, platform;
GRANT USAGE ON SCHEMA public TO gateway, worker, ops, platform;

-- What an earlier version allowed and this one does not.
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM gateway, worker, ops, platform;
GRANT SELECT ON schema_migrations TO gateway, worker, ops, platform;

-- The gateway looks and counts. It changes no run and makes no token.
GRANT SELECT ON runs, cancellations, tokens TO gateway;
GRANT SELECT, INSERT, UPDATE, DELETE ON rate_windows TO gateway;
-- For its metrics; what is in a letter is none of its business.
GRANT SELECT ON hosts TO gateway;
GRANT SELECT (letter_id, state, reason, arrived_at) ON dead_letters TO gateway;

-- A worker changes runs, but adds none; it keeps letters, but settles none, and sees no token.
GRANT SELECT, UPDATE ON runs TO worker;
GRANT SELECT, INSERT, UPDATE ON cancellations, hosts TO worker;
GRANT SELECT, INSERT ON dead_letters, host_actions TO worker;
-- It publishes events, but tells none of its own: triggers do.
GRANT SELECT, DELETE ON outbox TO worker;
GRANT SELECT, UPDATE ON outbox_turn TO worker;

-- Who queues runs: queued ones, and nothing else.
GRANT SELECT, INSERT (run_id, grace_seconds, stop_signal) ON runs TO platform;

-- Operators add runs, give out tokens, replay letters and give up hosts.
GRANT SELECT, INSERT, UPDATE ON runs, tokens TO ops;
GRANT SELECT, UPDATE ON cancellations, dead_letters, hosts TO ops;
GRANT SELECT, INSERT ON dead_letter_actions, host_actions TO ops;
