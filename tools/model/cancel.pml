/* The protocol of a cancel: one run on host 0, its launcher, COMMANDS commands, two workers.
 * Of two commands the later one is forced.
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
#define CONFIRM            3  /* a retry, and a letter, is confirmed before its original is gone */
#define ACK_LAST           4  /* acknowledged after the commit */
#define MARK_LAST          5  /* a letter is marked as replayed after its publish */
/* in Postgres: deciding */
#define ROW_LOCK           6  /* the run that is decided on is locked */
#define FRESH_READ         7  /* whether another command is open is read under that lock */
#define REPEAT_CHECK       8  /* a command with an outcome is a repeat */
#define FAILED_OPENS       9  /* ... but one whose stop failed, and comes again, opens again */
#define FAILED_IS_OVER    10  /* ... also while the stop that failed waits for its answer */
#define WRITE_GUARD       11  /* what got its outcome after it was read is not written */
#define DECIDED_AGAIN     12  /* ... but decided on once more, and no reused id */
#define CLAIM_GUARD       13  /* UPDATE ... WHERE status = 'queued' */
#define RESULT_GUARD      14  /* UPDATE ... WHERE status = 'running' */
#define LOST_GUARD        15  /* the same for a run whose launcher was lost */
#define ONE_DEADLINE      16  /* a resumed stop goes on with the deadline that it finds */
/* in Postgres: what is open */
#define TAKE_UP_OPEN      17  /* looked for with each start and beat, not only when woken */
#define LOOK              18  /* a wake makes a worker look, and begins nothing by itself */
#define STILL_OPEN        19  /* what is taken up is open under the lock, not only when found */
#define FORCE_JOINS       20  /* a force is taken up also while the grace period of a stop goes on */
#define GIVE_UP           21  /* so often, and not for ever: a stop may end its worker each time */
#define CLOSE_GUARD       22  /* a stop answers the commands that are open, not all */
#define CLOSE_OVER        23  /* a run that ends answers what is open on it */
#define LOCK_FIRST        24  /* ... as it is once the run is locked */
/* letters of stops that failed */
#define LETTER_WITH_OUTCOME 25  /* written into the outbox by the transaction of STOP_FAILED */
#define REMOVE_LAST       26  /* ... and removed from there after the confirm */
/* on the host */
#define BARRIER           27  /* the child waits until the run is claimed for it */
#define EOF_IS_NEVER      28  /* a child whose launcher ended at the barrier ends as well */
#define CONTAIN_FIRST     29  /* in its cgroup before the run is claimed */
#define PROOF             30  /* `canceled` only when the cgroup is empty */
#define TAKE_UP           31  /* a worker watches over the launchers of the one before it */
#define RELIST            32  /* ... and looks for runs without a watch not only at its start */
#define KILL_RESUMED      33  /* a lost run's processes are killed however its record was answered */

/* What must hold: at every moment, the last five wherever a course ends. */
mtype = { no_accepted_command_is_lost, terminal_is_final, canceled_means_dead,
    claim_and_cancel_exclude_each_other, what_runs_is_registered, a_stop_has_one_deadline,
    an_outcome_is_final, an_outcome_is_true, a_repeat_changes_nothing, no_repeat_becomes_a_letter,
    nothing_is_stopped_unasked, every_command_ends, no_run_stays_running_without_its_launcher,
    what_a_lost_launcher_leaves_is_killed, a_failed_stop_is_not_forgotten,
    a_force_does_not_wait_for_a_deadline };

mtype = { QUEUED, RUNNING, CANCELING, PASSED, CANCELED, ERROR };   /* a run */
mtype = { NONE, OPEN, DONE, NO_OP, STOP_FAILED };                  /* a command; DONE: canceled */
mtype = { WAITING, RUNS, STRAYS, DEAD };               /* the run's processes; STRAYS: leader gone */
mtype = { ASK, OPENS, WATCHES, GONE };                             /* the launcher */
mtype = { IDLE, DECIDE, BURY };                                    /* a delivery in hand */
mtype = { NO_STOP, GRACE, KILL, RECORD, TELL };        /* a stop; TELL: without LETTER_WITH_OUTCOME */

/* How many of each message there are. AGAIN: the shared queue, last attempt of the retry ladder. */
#define SHARED  0
#define AGAIN   1
#define LETTERS 2
#define at(queue, c) messages[(queue) * COMMANDS + (c)]
byte messages[3 * COMMANDS];

/* Postgres */
bool known;                           /* the run's row is there */
mtype status = QUEUED;
bool proved;                          /* of a run in ERROR: nothing of it is left */
mtype outcome[COMMANDS] = NONE;
byte taken_up[COMMANDS];              /* how often; counted only where a stop ends its worker */
byte outbox[COMMANDS];                /* how many letters of it */
bool late;                            /* a claim's COMMIT takes its time: the row is locked */
/* the host */
mtype job = WAITING, launcher = ASK;
bool contained;
/* worker 0, on the host, has delivery 0 in hand; worker 1, elsewhere, delivery 1 */
mtype stop = NO_STOP;                 /* worker 0's memory: a stop, whose, ... */
byte by;
bool granting, watching;              /* ... a claim's answer, a watch */
mtype step[2] = IDLE;
byte cmd[2], from[2];
bool held[2];                         /* by the broker, until it is acknowledged */
mtype row_seen[2];                    /* before the run was locked */
mtype run_seen[2];                    /* used only without ROW_LOCK */
bool asked_seen[2];                   /* ... without FRESH_READ */
bool wake;                            /* ... without TAKE_UP_OPEN or LOOK */
byte found;                           /* ... without STILL_OPEN: a command + 1 */
bool relaying;                        /* ... without REMOVE_LAST */
bool completing, open_seen[COMMANDS]; /* ... without LOCK_FIRST */
/* the rest */
bool accepted[COMMANDS], asked[COMMANDS], never_started, ran, deadly;
byte deadlines, faults = FAULTS, replays = 1, replaying;

#define LAST          (COMMANDS - 1)
#define MOST_TIMES    2                /* 5, in worker/open_commands/open_commands.py */
#define ended         (status == PASSED || status == CANCELED || status == ERROR)
#define alive         (job == RUNS || job == STRAYS)
#define empty         (!contained || !(alive || job == WAITING))
#define relists       (KEEPS(TAKE_UP) && KEEPS(RELIST) && KEEPS(KILL_RESUMED))
#define watches       (watching || relists)      /* so that the sound model need not remember */
#define wakes         (!KEEPS(TAKE_UP_OPEN) || !KEEPS(LOOK))               /* likewise */
#define violated(promise) printf("violated: %e\n", promise); assert(false)
#define answered(c)   (outcome[c] == DONE || outcome[c] == NO_OP)
#define holds(i, c)   (held[i] && cmd[i] == c)
#define under_way(c)  (at(SHARED, c) + at(AGAIN, c) > 0 || holds(0, c) || holds(1, c))
#define has_letter(c) (at(LETTERS, c) + outbox[c] > 0)
#define lost(c)       (accepted[c] && !answered(c) && outcome[c] != OPEN && !has_letter(c) \
                       && !under_way(c))
#define is_forced(c)  (COMMANDS > 1 && c == LAST)
/* A run on which something is to be done, and by its host: OPEN_RUNS_OF_HOST. */
#define may_be_stopped (status == RUNNING || status == CANCELING || (status == ERROR && !proved))

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

inline close(c, new) {                            /* CLOSE_COMMANDS, and the trigger's letter */
    if
    :: outcome[c] == OPEN || outcome[c] == STOP_FAILED ->
        if
        :: new == STOP_FAILED && outcome[c] == OPEN && KEEPS(LETTER_WITH_OUTCOME) -> outbox[c]++
        :: else
        fi;
        outcome[c] = new
    :: answered(c) && outcome[c] != new && !KEEPS(CLOSE_GUARD) -> violated(an_outcome_is_final)
    :: else
    fi
}
inline answer(c, new) { if :: outcome[c] == OPEN -> outcome[c] = new :: else fi }  /* CLOSE_OVER */
inline answer_all() { answer(0, NO_OP); answer(LAST, NO_OP) }
inline start(c) {                                 /* the grace period of which nobody sees the end */
    by = c; if :: stop = KILL :: COMMANDS > 1 && !is_forced(c) -> stop = GRACE fi
}
inline begin(c) {                                 /* written in one step; started after it */
    if
    :: status == RUNNING -> become(CANCELING); deadlines++
    :: status == CANCELING && !KEEPS(ONE_DEADLINE) -> deadlines++
    :: else
    fi;
    outcome[c] = OPEN
}
inline end_grace(c) { if :: is_forced(c) && stop == GRACE -> stop = KILL :: else fi }

/* What the row of the run and of the command say. Of a run that may be stopped they are read anew
 * under the lock (decision_store.lock_runs); of others the write finds out. */
#define reads_anew  (KEEPS(FRESH_READ) && (status == CANCELING || status == ERROR))
#define own_row(i)  (reads_anew -> outcome[cmd[i]] : row_seen[i])
#define is_asked(i) (KEEPS(FRESH_READ) -> outcome[LAST] == OPEN : asked_seen[i])
#define the_run(i)  (KEEPS(ROW_LOCK) -> status : run_seen[i])
#define over(i)     (the_run(i) == PASSED || the_run(i) == CANCELED || (the_run(i) == ERROR && proved))
#define repeat(i)   (KEEPS(REPEAT_CHECK) && (own_row(i) == DONE || own_row(i) == NO_OP \
                     || (!KEEPS(FAILED_OPENS) && own_row(i) == STOP_FAILED)))
#define elsewhere(i) (i == 1)
#define joins(i)    (!elsewhere(i) && stop != NO_STOP)
#define own_stop(i) (by == cmd[i] && (outcome[cmd[i]] == OPEN || !KEEPS(FAILED_IS_OVER)))
#define pending(i)  (COMMANDS > 1 && cmd[i] == 0 && own_row(i) == NONE && is_asked(i))

inline look(i) {
    row_seen[i] = outcome[cmd[i]];
    run_seen[i] = (KEEPS(ROW_LOCK) -> 0 : status);
    asked_seen[i] = (KEEPS(FRESH_READ) -> 0 : outcome[LAST] == OPEN);
    step[i] = DECIDE
}
inline take(i, queue, c) {
    at(queue, c)--; cmd[i] = c; from[i] = queue; held[i] = KEEPS(ACK_LAST); look(i)
}
inline drop(i) {
    step[i] = IDLE; cmd[i] = 0; from[i] = 0; held[i] = false; row_seen[i] = 0; run_seen[i] = 0;
    asked_seen[i] = false
}
inline give_back(i) { if :: held[i] -> at(from[i], cmd[i])++ :: else fi; drop(i) }
inline acknowledge(i) { if :: true :: FAULT_IF(held[i]); at(from[i], cmd[i])++ fi; drop(i) }
inline publish(i, queue) {
    if
    :: at(queue, cmd[i])++; acknowledge(i)
    :: FAULT; at(queue, cmd[i])++                 /* unknown, but it arrived; sent again */
    :: FAULT_IF(!KEEPS(CONFIRM)); acknowledge(i)
    fi
}
/* Committed; or that is unknown, and decided once more. */
inline committed(i) { if :: acknowledge(i) :: FAULT; look(i) fi }
inline record(i, new) {
    if :: answered(cmd[i]) -> violated(a_repeat_changes_nothing) :: else -> outcome[cmd[i]] = new fi
}
inline decide(i) {                                 /* worker/decisions/verdict.py, decider.py */
    if
    :: !known -> if :: from[i] == AGAIN -> step[i] = BURY :: else -> publish(i, AGAIN) fi
    :: known && repeat(i) -> acknowledge(i)
    :: known && !repeat(i) && answered(cmd[i]) && KEEPS(WRITE_GUARD) ->
        if :: KEEPS(DECIDED_AGAIN) -> look(i) :: else -> violated(no_repeat_becomes_a_letter) fi
    :: known && !repeat(i) && !(answered(cmd[i]) && KEEPS(WRITE_GUARD)) -> if
        :: the_run(i) == QUEUED ->
            if :: status == QUEUED -> become(CANCELED); never_started = true :: else fi;
            record(i, DONE); committed(i)
        :: over(i) -> record(i, NO_OP); committed(i)
        :: the_run(i) != QUEUED && !over(i) && elsewhere(i) -> if
            :: pending(i) ->
                if :: outcome[LAST] != OPEN -> violated(an_outcome_is_true) :: else fi;
                record(i, NO_OP); committed(i)
            :: else -> record(i, OPEN); wake = wakes; committed(i)
            fi
        :: the_run(i) != QUEUED && !over(i) && joins(i) -> end_grace(cmd[i]); if
            :: own_stop(i) -> acknowledge(i)
            :: !own_stop(i) && by == cmd[i] -> record(i, OPEN); committed(i)
            :: else -> record(i, NO_OP); committed(i)
            fi
        :: the_run(i) != QUEUED && !over(i) && !elsewhere(i) && !joins(i) ->
            if :: answered(cmd[i]) -> violated(a_repeat_changes_nothing) :: else fi;
            begin(cmd[i]); if :: start(cmd[i]); acknowledge(i) :: FAULT; look(i) fi
        fi
    fi
}

proctype Delivery(byte i) {
end: do
    :: atomic { step[i] == IDLE && at(SHARED, 0) -> take(i, SHARED, 0) }
    :: atomic { step[i] == IDLE && at(AGAIN, 0) -> take(i, AGAIN, 0) }
#if COMMANDS > 1
    :: atomic { step[i] == IDLE && at(SHARED, 1) -> take(i, SHARED, 1) }
    :: atomic { step[i] == IDLE && at(AGAIN, 1) -> take(i, AGAIN, 1) }
#endif
    :: atomic { step[i] == DECIDE && !late -> decide(i) }
    :: atomic { step[i] == BURY -> publish(i, LETTERS) }
    /* The connection is lost: delivered once more, while our work on it goes on. */
    :: atomic { FAULT_IF(held[i]); at(from[i], cmd[i])++; held[i] = false }
    od
}

/* What is to be done of what is open: of several commands the forced one. */
#define is_open     (outcome[0] == OPEN || outcome[LAST] == OPEN)
#define forces      (KEEPS(FORCE_JOINS) && stop == GRACE && is_forced(LAST) && outcome[LAST] == OPEN)
#define can_take_up ((stop == NO_STOP || forces) && !late && may_be_stopped)

inline take_up(c) {                               /* worker/open_commands/open_commands.py */
    if
    :: answered(c)
    :: stop != NO_STOP && !answered(c) -> end_grace(c); outcome[c] = NO_OP
    :: stop == NO_STOP && !answered(c) && KEEPS(GIVE_UP) && taken_up[c] == MOST_TIMES ->
        close(0, STOP_FAILED); close(LAST, STOP_FAILED)
    :: stop == NO_STOP && !answered(c) && !(KEEPS(GIVE_UP) && taken_up[c] == MOST_TIMES) ->
        if :: outcome[c] != OPEN -> violated(nothing_is_stopped_unasked) :: else fi;
        taken_up[c] = taken_up[c] + (deadly && KEEPS(GIVE_UP));
        begin(c); if :: start(c) :: FAULT fi      /* unknown: the next look finds it */
    fi
}
inline take_up_first() { if :: outcome[LAST] == OPEN -> take_up(LAST) :: else -> take_up(0) fi }
inline worker_0_ends() {
    stop = NO_STOP; by = 0; granting = false; found = 0; wake = false; give_back(0);
    watching = (KEEPS(TAKE_UP) && !relists && status == RUNNING)
}

inline tell(c) {                                  /* worker/outbox/relay.py */
    if
    :: at(LETTERS, c)++; outbox[c]--
    :: FAULT; at(LETTERS, c)++                    /* ended in between, or unknown: sent again */
    :: FAULT_IF(!KEEPS(CONFIRM)); outbox[c]--
    fi
}

/* Stops of the run, by worker 0: at most one, taken up again from what is on record. */
active proctype Stops() {
end: do
    :: atomic { KEEPS(TAKE_UP_OPEN) && KEEPS(STILL_OPEN) && can_take_up && is_open -> take_up_first() }
    :: atomic { !KEEPS(TAKE_UP_OPEN) && wake && !late -> wake = false;
        if :: can_take_up && is_open -> take_up_first() :: else fi }
    :: atomic { !KEEPS(LOOK) && wake && stop == NO_STOP && !late -> wake = false;
        if :: may_be_stopped -> take_up(0) :: else fi }
    :: atomic { !KEEPS(STILL_OPEN) && !found && can_take_up && is_open ->
        found = (outcome[LAST] == OPEN -> COMMANDS : 1) }
    :: atomic { !KEEPS(STILL_OPEN) && found && stop == NO_STOP && !late ->
        if :: may_be_stopped -> take_up(found - 1) :: else fi; found = 0 }
    :: atomic { stop == KILL -> if
        :: deadly -> worker_0_ends()
        :: !deadly -> stop = RECORD; if :: contained -> job = DEAD :: true fi  /* or it cannot be killed */
        fi }
    :: atomic { stop == RECORD && !late -> if
        :: empty || !KEEPS(PROOF) -> if
            :: status == ERROR -> proved = true; close(0, NO_OP); close(LAST, NO_OP)
            :: status != ERROR -> if :: status == CANCELING -> become(CANCELED) :: else fi;
                close(0, DONE); close(LAST, DONE)
            fi;
            if :: stop = NO_STOP; by = 0 :: FAULT fi
        :: else -> if
            :: KEEPS(LETTER_WITH_OUTCOME) -> close(0, STOP_FAILED); close(LAST, STOP_FAILED);
                if :: stop = NO_STOP; by = 0 :: FAULT fi    /* unknown: recorded once more */
            :: else -> close(0, STOP_FAILED); close(LAST, STOP_FAILED); stop = TELL
            fi
        fi }
    :: atomic { stop == TELL -> outbox[by]++; stop = NO_STOP; by = 0 }
    /* The relay: whoever's turn it is. */
    :: atomic { KEEPS(REMOVE_LAST) && outbox[0] -> tell(0) }
    :: atomic { KEEPS(REMOVE_LAST) && COMMANDS > 1 && outbox[LAST] -> tell(LAST) }
    :: atomic { !KEEPS(REMOVE_LAST) && !relaying && outbox[0] -> outbox[0]--; relaying = true }
    :: atomic { relaying -> at(LETTERS, 0)++; relaying = false }
    od
}

inline complete(closes_first, closes_last) {
    if
    :: status == RUNNING || !KEEPS(RESULT_GUARD) -> become(PASSED);
        if :: KEEPS(CLOSE_OVER) && (closes_first) -> answer(0, NO_OP) :: else fi;
        if :: KEEPS(CLOSE_OVER) && (closes_last) -> answer(LAST, NO_OP) :: else fi
    :: else
    fi
}
inline clear_away() { job = DEAD; proved = true; answer_all() }

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
    :: atomic { launcher == WATCHES && (job == DEAD || job == STRAYS) && !late && KEEPS(LOCK_FIRST) ->
        launcher = GONE; complete(outcome[0] == OPEN, outcome[LAST] == OPEN) }
    :: atomic { launcher == WATCHES && (job == DEAD || job == STRAYS) && !KEEPS(LOCK_FIRST) && !completing ->
        completing = true; open_seen[0] = (outcome[0] == OPEN); open_seen[LAST] = (outcome[LAST] == OPEN) }
    :: atomic { completing && launcher == WATCHES && !late ->
        launcher = GONE; complete(open_seen[0], open_seen[LAST]) }
    :: atomic { FAULT_IF(launcher != GONE); launcher = GONE }
    :: atomic { job == WAITING && launcher == GONE ->
        if :: KEEPS(EOF_IS_NEVER) -> job = DEAD :: else -> exec() fi }
    :: atomic { job == WAITING && !KEEPS(BARRIER) -> exec() }
    /* The watch over a launcher: record, then kill. */
    :: atomic { launcher == GONE && watches && (status == RUNNING || (ended && !KEEPS(LOST_GUARD))) ->
        become(ERROR); watching = false;
        if :: FAULT_IF(!KEEPS(KILL_RESUMED)) :: !KEEPS(KILL_RESUMED) -> clear_away() :: KEEPS(KILL_RESUMED) fi }
    :: atomic { status == ERROR && !proved && KEEPS(KILL_RESUMED) -> clear_away() }
    :: atomic { launcher == GONE && watching && status == QUEUED -> watching = false }
    od
}

inline replay(c, sends) { if :: sends -> at(SHARED, c)++ :: else -> at(LETTERS, c)-- fi }
active proctype World() {
end: do
    :: atomic { !known -> known = true }
    :: atomic { FAULT_IF(step[1] != IDLE); give_back(1) }
    :: atomic { FAULT; worker_0_ends() }
    :: atomic { FAULT_IF(relaying); relaying = false }
    :: atomic { FAULT_IF(wake); wake = false }
    :: atomic { FAULT_IF(!deadly); deadly = true }     /* a stop of the run ends who stops it */
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
    :: timeout && stop == GRACE -> if             /* its deadline: after all that can come before */
        :: is_forced(LAST) && outcome[LAST] == OPEN -> violated(a_force_does_not_wait_for_a_deadline)
        :: else -> stop = KILL
        fi
    :: timeout && stop != GRACE -> if
        :: under_way(0) || under_way(LAST) || is_open -> violated(every_command_ends)
        :: status == RUNNING -> violated(no_run_stays_running_without_its_launcher)
        :: status == ERROR && alive -> violated(what_a_lost_launcher_leaves_is_killed)
        :: status == CANCELING && !at(LETTERS, 0) && !at(LETTERS, LAST) -> violated(a_failed_stop_is_not_forgotten)
        :: else -> break
        fi
    od
}

init { run Publisher(0); run Delivery(0); run Delivery(1);
    if :: COMMANDS > 1 -> run Publisher(LAST) :: else fi }
