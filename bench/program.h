/* What the programs that make load begin and end with: arguments, the server's configuration (DATABASE_URL,
 * CATHAY_TOKEN_KEYS, CATHAY_PUBLIC_URL, CATHAY_LISTEN_PORT), the database that they read shoppers and prices
 * from, and tokens that they sign themselves, so that no password is hashed. One in a process, one thread. */
#ifndef CATHAY_BENCH_PROGRAM_H
#define CATHAY_BENCH_PROGRAM_H

#include "arguments.h"
#include "measure.h"

#include "base/arena.h"
#include "base/id.h"
#include "pg/pg.h"

struct program {
    struct arena *arena; /* until the end */
    struct pg *db;
};

/* Ends the process with status 2 and one line where the arguments or the configuration are no good. */
struct program program_begin(const struct argument *table, size_t count, int argc, char **argv);
void program_end(struct program *program);
/* Ends the process with status 2: what PostgreSQL says of its last failure, or else this. */
_Noreturn void program_give_up(const struct program *program, const char *why);
/* For programs that go on until SIGTERM, or until somebody says so: it then ends the process no more. */
void program_await_term(void);
void program_stop(void);
bool program_stopping(void);

/* An access token for a customer, in the arena. */
struct str program_token(const struct program *program, struct user_id customer);

/* The course of a measurement: warm-up, `seconds` that count, and the end of what is still in flight. */
struct course {
    int64_t seconds;
    pid_t server;       /* whose CPU time is told; 0 for none */
    bool (*warm)(void); /* whether the warm-up may end, asked when its time is over; NULL: it may */
    /* Sends what is due and handles answers until then at most, or returns sooner. */
    void (*turn)(int64_t now_us, int64_t until_us);
    bool sending, counting; /* for those who send and who handle answers: true while it is so */
    struct sample before, after;
};
void course_run(const struct program *program, struct course *course);

#endif
