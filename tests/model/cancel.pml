/* The protocol of a cancel: one run on host 0, its launcher, COMMANDS commands, two workers.
 *
 * Each step is one atomic transition; steps are interleaved in every way, and messages may overtake
 * each other. Crashes, lost connections and unknown outcomes cost one of FAULTS each and may strike
 * at any step. Being away is not modeled apart: it is to take no step.
 *
 * A guard is a rule without which a promise breaks. -DWITHOUT=<guard> takes that one out. */

#ifndef COMMANDS
#define COMMANDS 1
#endif
#ifndef FAULTS
#define FAULTS 1
#endif
#ifndef WITHOUT
#define WITHOUT 0
#endif
#define KEEPS(guard) (WITHOUT != guard)
#define FAULT_IF(possible) faults > 0 && (possible) -> faults--
#define FAULT FAULT_IF(true)

/* guards: into the broker, and from queue to queue */
#define MANDATORY          1  /* an unroutable publish is not taken for a confirmed one */
#define UNKNOWN_IS_503     2  /* no 202 while the outcome is unknown */
#define CONFIRM            3  /* a copy is confirmed before the original is acknowledged */
#define ACK_LAST           4  /* acknowledged after the commit */
#define MARK_LAST          5  /* a letter is marked as replayed after its publish */
/* in Postgres */
#define ROW_LOCK           6  /* the run that is decided on is locked */
#define FRESH_READ         7  /* what is on record of the command is read under that lock */
#define REPEAT_CHECK       8  /* a command with an outcome is a repeat */
#define OPEN_IS_NO_REPEAT  9  /* ... one with a row but no outcome is not */
#define CLOSE_GUARD       10  /* a stop answers the commands that are open, not all */
#define CLAIM_GUARD       11  /* UPDATE ... WHERE status = 'queued' */
#define RESULT_GUARD      12  /* UPDATE ... WHERE status = 'running' */
#define LOST_GUARD        13  /* the same for a run whose launcher was lost */
#define ONE_DEADLINE      14  /* a resumed stop goes on with the deadline that it finds */
/* on the host */
#define BARRIER           15  /* the child waits until the run is claimed for it */
#define EOF_IS_NEVER      16  /* a child whose launcher ended at the barrier ends as well */
#define CONTAIN_FIRST     17  /* in its cgroup before the run is claimed */
#define PROOF             18  /* `canceled` only when the cgroup is empty */
#define TAKE_UP           19  /* a worker watches over the launchers of the one before it */
#define RELIST            20  /* ... and looks for runs without a watch not only at its start */
#define KILL_RESUMED      21  /* a lost run's processes are killed however its record was answered */

/* What must hold: at every moment, the last four wherever a course ends. */
mtype = { no_accepted_command_is_lost, terminal_is_final, canceled_means_dead,
    claim_and_cancel_exclude_each_other, what_runs_is_registered, a_stop_has_one_deadline,
    an_outcome_is_final, an_outcome_is_true, a_repeat_changes_nothing, every_command_ends,
    no_run_stays_running_without_its_launcher, what_a_lost_launcher_leaves_is_killed,
    a_failed_stop_is_not_forgotten };

mtype = { QUEUED, RUNNING, CANCELING, PASSED, CANCELED, ERROR };   /* a run */
mtype = { NONE, OPEN, DONE, NO_OP, STOP_FAILED };                  /* a command; DONE: canceled */
mtype = { WAITING, RUNS, STRAYS, DEAD };               /* the run's processes; STRAYS: leader gone */
mtype = { ASK, OPENS, WATCHES, GONE };                             /* the launcher */
mtype = { IDLE, DECIDE, STOP, RECORD, BURY, ACK };                 /* a delivery in hand */

/* How many of each message there are. AGAIN: the shared queue, last attempt of the retry ladder. */
#define SHARED  0
#define AGAIN   1
#define AT_HOST 2
#define LETTERS 3
#define at(queue, c) messages[(queue) * COMMANDS + (c)]
byte messages[4 * COMMANDS];

/* Postgres */
bool known;                           /* the run's row is there */
mtype status = QUEUED;
mtype outcome[COMMANDS] = NONE;
bool late;                            /* a claim's COMMIT takes its time: the row is locked */
/* the host */
mtype job = WAITING, launcher = ASK;
bool contained;
/* worker 0, on the host, has deliveries 0 and 1 in hand; worker 1, elsewhere, delivery 2 */
bool stopping, granting, watching;    /* worker 0's memory: a stop, a claim's answer, a watch */
mtype step[3] = IDLE;
byte cmd[3], from[3];
bool held[3];                         /* by the broker, until it is acknowledged */
mtype row_seen[3], run_seen[3];       /* used only without FRESH_READ or ROW_LOCK */
/* the rest */
bool accepted[COMMANDS], asked[COMMANDS], never_started, ran;
byte deadlines, faults = FAULTS, replays = 1, replaying;

#define ended         (status == PASSED || status == CANCELED || status == ERROR)
#define alive         (job == RUNS || job == STRAYS)
#define empty         (!contained || !(alive || job == WAITING))
#define relists       (KEEPS(TAKE_UP) && KEEPS(RELIST) && KEEPS(KILL_RESUMED))
#define watches       (watching || relists)      /* so that the sound model need not remember */
#define violated(promise) printf("violated: %e\n", promise); assert(false)
#define answered(c)   (outcome[c] == DONE || outcome[c] == NO_OP)
#define holds(i, c)   (held[i] && cmd[i] == c)
#define under_way(c)  (at(SHARED, c) + at(AGAIN, c) + at(AT_HOST, c) > 0 \
                       || holds(0, c) || holds(1, c) || holds(2, c))
#define lost(c)       (accepted[c] && !answered(c) && at(LETTERS, c) == 0 && !under_way(c))
#define LAST          (COMMANDS - 1)

inline become(new) {
    if :: ended && status != new -> violated(terminal_is_final) :: else fi;
    status = new
}
inline exec() { job = RUNS; ran = true }

/* The gateway, or a service that publishes by itself and repeats a command under its id. */
proctype Publisher(byte c) {
end: do
    :: atomic { !accepted[c] && (c == 0 || asked[0]) -> asked[c] = true; if
        :: at(SHARED, c)++; accepted[c] = true
        :: FAULT; at(SHARED, c)++                 /* unknown, but it arrived; asked for again */
        :: KEEPS(MANDATORY) == 0 -> accepted[c] = true
        :: FAULT_IF(!KEEPS(UNKNOWN_IS_503)); accepted[c] = true
        fi }
    od
}

#define own_row(i)  (KEEPS(FRESH_READ) -> outcome[cmd[i]] : row_seen[i])
#define the_run(i)  (KEEPS(ROW_LOCK) -> status : run_seen[i])
#define over(i)     (the_run(i) == PASSED || the_run(i) == CANCELED || the_run(i) == ERROR)
#define repeat(i)   (KEEPS(REPEAT_CHECK) && (own_row(i) == DONE || own_row(i) == NO_OP \
                     || (!KEEPS(OPEN_IS_NO_REPEAT) && own_row(i) != NONE)))
#define joins(i)    (i != 2 && stopping && the_run(i) == CANCELING && !repeat(i))
#define free(i)     (step[i] == IDLE && (i != 1 || step[0] != IDLE))

inline look(i) {
    row_seen[i] = (KEEPS(FRESH_READ) -> 0 : outcome[cmd[i]]);
    run_seen[i] = (KEEPS(ROW_LOCK) -> 0 : status);
    step[i] = DECIDE
}
inline take(i, queue, c) {
    at(queue, c)--; cmd[i] = c; from[i] = queue; held[i] = KEEPS(ACK_LAST); look(i)
}
inline drop(i) {
    step[i] = IDLE; cmd[i] = 0; from[i] = 0; held[i] = false; row_seen[i] = 0; run_seen[i] = 0
}
inline give_back(i) { if :: held[i] -> at(from[i], cmd[i])++ :: else fi; drop(i) }
inline publish(i, queue) {
    if
    :: at(queue, cmd[i])++; step[i] = ACK
    :: FAULT; at(queue, cmd[i])++                 /* unknown, but it arrived; sent again */
    :: FAULT_IF(!KEEPS(CONFIRM)); step[i] = ACK
    fi
}
inline record(i, new) {                           /* RECORD_COMMAND changes no row with an answer */
    if :: answered(cmd[i]) -> violated(a_repeat_changes_nothing) :: else -> outcome[cmd[i]] = new fi
}
inline close(c, new) {                            /* CLOSE_COMMANDS */
    if
    :: outcome[c] == OPEN || outcome[c] == STOP_FAILED -> outcome[c] = new
    :: answered(c) && outcome[c] != new && !KEEPS(CLOSE_GUARD) -> violated(an_outcome_is_final)
    :: else
    fi
}
inline begin(i) {
    if
    :: status == RUNNING -> become(CANCELING); deadlines++
    :: status == CANCELING && !KEEPS(ONE_DEADLINE) -> deadlines++
    :: else
    fi;
    record(i, OPEN); step[i] = STOP;
    if :: stopping = true :: FAULT; look(i) fi    /* committed, but unknown: decided once more */
}
inline decide(i) {                                /* worker/decision.py, worker/cancel.py */
    if
    :: !known -> if :: from[i] == AGAIN -> step[i] = BURY :: else -> publish(i, AGAIN) fi
    :: known && repeat(i) -> step[i] = ACK
    :: known && !repeat(i) -> if
        :: the_run(i) == QUEUED ->
            if :: status == QUEUED -> become(CANCELED); never_started = true :: else fi;
            record(i, DONE);
            if :: step[i] = ACK :: FAULT; look(i) fi
        :: over(i) || (joins(i) && own_row(i) == NONE) -> record(i, NO_OP); step[i] = ACK
        :: (the_run(i) == RUNNING || the_run(i) == CANCELING) && i == 2 -> publish(i, AT_HOST)
        :: (the_run(i) == RUNNING || the_run(i) == CANCELING) && i != 2 && !joins(i) -> begin(i)
        fi
    fi
}

proctype Delivery(byte i) {
end: do
    :: atomic { free(i) && at(SHARED, 0) -> take(i, SHARED, 0) }
    :: atomic { free(i) && at(AGAIN, 0) -> take(i, AGAIN, 0) }
    :: atomic { free(i) && i != 2 && at(AT_HOST, 0) -> take(i, AT_HOST, 0) }
#if COMMANDS > 1
    :: atomic { free(i) && at(SHARED, 1) -> take(i, SHARED, 1) }
    :: atomic { free(i) && at(AGAIN, 1) -> take(i, AGAIN, 1) }
    :: atomic { free(i) && i != 2 && at(AT_HOST, 1) -> take(i, AT_HOST, 1) }
#endif
    /* One that joins a stop and has a row waits: the stop will answer it. */
    :: atomic { step[i] == DECIDE && !late && !(joins(i) && own_row(i) != NONE) -> decide(i) }
    :: atomic { step[i] == STOP -> step[i] = RECORD;
        if :: contained -> job = DEAD :: true fi }         /* or it cannot be killed */
    :: atomic { step[i] == RECORD -> if
        :: empty || !KEEPS(PROOF) ->
            if :: status == CANCELING -> become(CANCELED) :: else fi;
            close(0, DONE); close(LAST, DONE);
            if :: stopping = false; step[i] = ACK :: FAULT fi
        :: else -> close(0, STOP_FAILED); close(LAST, STOP_FAILED); stopping = false; step[i] = BURY
        fi }
    :: atomic { step[i] == BURY -> publish(i, LETTERS) }
    :: atomic { step[i] == ACK -> drop(i) }
    /* The connection is lost: delivered once more, while our work on it goes on. */
    :: atomic { FAULT_IF(held[i]); at(from[i], cmd[i])++; held[i] = false }
    od
}

/* The launcher, its child, and worker 0 as far as it serves them. */
active proctype Host() {
end: do
    :: atomic { launcher == ASK && job == WAITING && !granting && !late -> if
        :: known && (status == QUEUED || (!KEEPS(CLAIM_GUARD) && status == CANCELED)) ->
            contained = KEEPS(CONTAIN_FIRST); watching = !relists;
            if :: become(RUNNING); granting = true :: FAULT; late = true fi
        :: known && status == RUNNING -> granting = true   /* its own claim, asked for again */
        :: else -> launcher = GONE                         /* refused */
        fi }
    :: atomic { late -> late = false; if :: become(RUNNING) :: true fi }
    :: atomic { granting -> granting = false; contained = true;
        if :: launcher == ASK -> launcher = OPENS :: else fi }
    :: atomic { launcher == OPENS -> launcher = WATCHES; if :: job == WAITING -> exec() :: else fi }
    :: atomic { job == RUNS -> if :: job = DEAD :: job = STRAYS fi }
    :: atomic { launcher == WATCHES && (job == DEAD || job == STRAYS) && !late -> launcher = GONE;
        if :: status == RUNNING || !KEEPS(RESULT_GUARD) -> become(PASSED) :: else fi }
    :: atomic { FAULT_IF(launcher != GONE); launcher = GONE }
    :: atomic { job == WAITING && launcher == GONE ->
        if :: KEEPS(EOF_IS_NEVER) -> job = DEAD :: else -> exec() fi }
    :: atomic { job == WAITING && !KEEPS(BARRIER) -> exec() }
    /* The watch over a launcher: record, then kill. */
    :: atomic { launcher == GONE && watches && (status == RUNNING || (ended && !KEEPS(LOST_GUARD))) ->
        become(ERROR); watching = false;
        if :: FAULT_IF(!KEEPS(KILL_RESUMED)) :: !KEEPS(KILL_RESUMED) -> job = DEAD :: KEEPS(KILL_RESUMED) fi }
    :: atomic { status == ERROR && alive && KEEPS(KILL_RESUMED) -> job = DEAD }
    :: atomic { launcher == GONE && watching && status == QUEUED -> watching = false }
    od
}

inline replay(c, sends) { if :: sends -> at(SHARED, c)++ :: else -> at(LETTERS, c)-- fi }
active proctype World() {
end: do
    :: atomic { !known -> known = true }
    :: atomic { FAULT_IF(step[2] != IDLE); give_back(2) }
    :: atomic { FAULT; stopping = false; granting = false; give_back(0); give_back(1);
        watching = (KEEPS(TAKE_UP) && !relists && status == RUNNING) }
    /* The operator replays a letter in two steps, and may not get to the second. */
    :: atomic { replays && at(LETTERS, 0) -> replays--; replaying = 1; replay(0, KEEPS(MARK_LAST)) }
    :: atomic { replays && at(LETTERS, LAST) -> replays--; replaying = LAST + 1; replay(LAST, KEEPS(MARK_LAST)) }
    :: atomic { replaying -> replay(replaying - 1, !KEEPS(MARK_LAST)); replaying = 0 }
    :: atomic { FAULT_IF(replaying); replaying = 0 }
    od
}

active proctype Promises() {
end: do
    :: lost(0) || lost(LAST) -> violated(no_accepted_command_is_lost)
    :: status == CANCELED && alive -> violated(canceled_means_dead)
    :: never_started && ran -> violated(claim_and_cancel_exclude_each_other)
    :: status == QUEUED && alive -> violated(what_runs_is_registered)
    :: deadlines > 1 -> violated(a_stop_has_one_deadline)
    :: status != CANCELED && (outcome[0] == DONE || outcome[LAST] == DONE) -> violated(an_outcome_is_true)
    /* The end of a course. Each has one: that nothing goes on for ever is checked as well. */
    :: timeout -> if
        :: under_way(0) || under_way(LAST) -> violated(every_command_ends)
        :: status == RUNNING -> violated(no_run_stays_running_without_its_launcher)
        :: status == ERROR && alive -> violated(what_a_lost_launcher_leaves_is_killed)
        :: status == CANCELING && !at(LETTERS, 0) && !at(LETTERS, LAST) -> violated(a_failed_stop_is_not_forgotten)
        :: else -> break
        fi
    od
}

init { run Publisher(0); run Delivery(0); run Delivery(1); run Delivery(2);
    if :: COMMANDS > 1 -> run Publisher(LAST) :: else fi }
