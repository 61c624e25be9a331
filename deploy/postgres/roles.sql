-- A role with the least privileges for each service. Apply it with psql as the owner of the schema
-- after each migration, so that changed passwords, limits and new columns take effect.
-- Passwords come from the environment, so that they appear in no argument list.
\getenv gateway_password GATEWAY_PASSWORD
\getenv worker_password WORKER_PASSWORD
\getenv ops_password OPS_PASSWORD
-- Connection limit of each role: CANCEL_DATABASE_POOL_SIZE for each process that may run at once.
-- The sum must be less than max_connections, so that the owner can always connect.
\set gateway_connections 30
\set worker_connections 40
\set ops_connections 15
\getenv gateway_connections GATEWAY_CONNECTIONS
\getenv worker_connections WORKER_CONNECTIONS
\getenv ops_connections OPS_CONNECTIONS

SELECT format('CREATE ROLE %I LOGIN', name)
  FROM unnest(ARRAY['gateway', 'worker', 'ops']) AS name
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
\gexec
-- Without a login: grant it to the role of the platform that queues runs.
SELECT 'CREATE ROLE platform NOLOGIN'
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'platform')
\gexec
ALTER ROLE gateway PASSWORD :'gateway_password' CONNECTION LIMIT :gateway_connections;
ALTER ROLE worker PASSWORD :'worker_password' CONNECTION LIMIT :worker_connections;
ALTER ROLE ops PASSWORD :'ops_password' CONNECTION LIMIT :ops_connections;

REVOKE ALL ON DATABASE :"DBNAME" FROM PUBLIC;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT CONNECT ON DATABASE :"DBNAME" TO gateway, worker, ops, platform;
GRANT USAGE ON SCHEMA public TO gateway, worker, ops, platform;

-- Revokes what an earlier version granted, on tables and columns.
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM gateway, worker, ops, platform;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM gateway, worker, ops, platform;
GRANT SELECT ON schema_migrations TO gateway, worker, ops, platform;

-- The gateway reads, counts requests and adds queued runs. It changes no run and creates no token.
GRANT SELECT ON runs, cancellations, tokens TO gateway;
GRANT SELECT, INSERT, DELETE, UPDATE (used, resets_at) ON rate_windows TO gateway;
-- For its metrics. It cannot read the contents of dead letters.
GRANT SELECT ON hosts TO gateway;
GRANT SELECT (letter_id, state, reason, arrived_at) ON dead_letters TO gateway;
GRANT SELECT (event_id, at) ON outbox TO gateway;
-- For registering, and for lists by label.
GRANT INSERT (run_id, grace_seconds, stop_signal, stop_scope, labels, url, start_before, leftovers)
   ON runs TO gateway;
GRANT SELECT ON run_labels TO gateway, ops;

-- A worker records the results of runs, adds queued runs (messages), and changes no request. It stores dead
-- letters, but cannot replay or discard them. It sees no token.
GRANT SELECT, UPDATE (
    status, started_at, canceling_at, finished_at, stop_deadline, first_stop_deadline,
    host, boot_id, pid, start_ticks, launcher_pid, launcher_start_ticks, uid, launch_id,
    containment, cgroup, cgroup_inode, pid_namespace, unreported_since, exit_code, error, loss, proof,
    expired, left_behind, containers_in, containers_removed
), INSERT (
    run_id, grace_seconds, stop_signal, stop_scope, labels, url, start_before, leftovers
) ON runs TO worker;
GRANT SELECT, INSERT (
    command_id, run_id, via, publisher, requested_by, reason, force, grace_seconds, requested_at,
    faults, outcome, finished_at, evidence, message_header, message_body, reply_to, correlation_id
), UPDATE (
    outcome, finished_at, evidence, taken_up, message_header, message_body, reply_to, correlation_id
) ON cancellations TO worker;
GRANT SELECT, INSERT (
    host, worker_id, boot_id, machine_id, pid_namespace, privileges, beat_seconds,
    wakes_since
), UPDATE (
    worker_id, boot_id, machine_id, pid_namespace, privileges, beat_seconds, wakes_since,
    seen_at, left_at, abandoned_at
) ON hosts TO worker;
GRANT SELECT, INSERT (
    letter_key, digest, reason, error, attempts, first_failed_at, last_failed_at, exchange,
    routing_key, via, publisher, command_id, run_id, requested_by, body, message_id, correlation_id,
    type, app_id, content_type, content_encoding, headers, replays, replay_of,
    full_size, reply_to
) ON dead_letters TO worker;
GRANT SELECT, INSERT (host, action, done_by, reason, run_ids) ON host_actions TO worker;
GRANT SELECT, INSERT (done_by, action, object, detail) ON audit TO worker, ops;
-- UPDATE, because locking a row requires it.
GRANT SELECT, UPDATE ON turns TO worker;
-- It publishes and removes events. Triggers write them. After a failover it passes over the numbers
-- of events that were published before.
GRANT SELECT, DELETE ON outbox TO worker;
GRANT USAGE, SELECT ON SEQUENCE outbox_event_id_seq TO worker;

-- Both prune by these functions, which delete nothing that is younger than a week. Neither may
-- delete by itself.
GRANT EXECUTE ON FUNCTION prune_runs, prune_letters, prune_history, expire_unstarted, forget_host
   TO worker, ops;

-- The platform adds queued runs, and nothing else.
GRANT SELECT, INSERT (
    run_id, grace_seconds, stop_signal, stop_scope, labels, url, start_before, leftovers
) ON runs TO platform;

-- Operators add runs, create and revoke tokens, replay dead letters and abandon hosts.
GRANT SELECT, INSERT (
    run_id, grace_seconds, stop_signal, stop_scope, labels, url, start_before, leftovers
), UPDATE (status, finished_at, error, loss) ON runs TO ops;
GRANT SELECT, INSERT (token_hash, subject, role, scopes, write_limit, read_limit, register_limit,
              expires_at),
      UPDATE (revoked_at) ON tokens TO ops;
GRANT SELECT, UPDATE (outcome, finished_at, evidence) ON cancellations TO ops;
GRANT SELECT, UPDATE (state, replays) ON dead_letters TO ops;
GRANT SELECT, UPDATE (worker_id, left_at, abandoned_at) ON hosts TO ops;
GRANT SELECT, INSERT (letter_id, action, done_by, command_id, body, note) ON dead_letter_actions TO ops;
-- What is searched of dead letters. A trigger writes it.
GRANT SELECT ON dead_letter_texts TO ops;
GRANT SELECT, INSERT (host, action, done_by, reason, run_ids) ON host_actions TO ops;
-- The console tells how many events wait, and notices changes by the latest numbers.
GRANT SELECT (event_id, at) ON outbox TO ops;
GRANT SELECT ON SEQUENCE outbox_event_id_seq, dead_letters_letter_id_seq,
    dead_letter_actions_action_id_seq, host_actions_action_id_seq,
    audit_audit_id_seq TO ops;

-- By default, all roles may take advisory locks, which can block a migration, and create large
-- objects until the disk is full. Only a superuser can revoke that, in each database.
SELECT format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', oid::regprocedure)
  FROM pg_proc
 WHERE pronamespace = 'pg_catalog'::regnamespace
   AND (proname ~ '^pg_(try_)?advisory_(xact_)?lock' OR proname IN ('lo_creat', 'lo_create', 'lo_from_bytea'))
   AND (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
\gexec
-- The owner of the tables keeps the lock that serializes migrations.
SELECT format('GRANT EXECUTE ON FUNCTION pg_advisory_xact_lock(bigint) TO %I', tableowner)
  FROM pg_tables
 WHERE schemaname = 'public' AND tablename = 'schema_migrations'
   AND (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
\gexec
