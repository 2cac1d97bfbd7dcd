/* What every long-running role does around its own work: logs, the schema's check, the modules' start and
 * stop, and waiting for SIGTERM or SIGINT. Used by the main thread alone. */
#ifndef CATHAY_APP_PROCESS_H
#define CATHAY_APP_PROCESS_H

#include "base/error.h"

/* How a supervisor tells its process how often the ones before it have crashed. No setting: people do not set
 * it. */
#define SUPERVISOR_CRASHES_VARIABLE "SUPERVISOR_CRASHES"

/* For a role that takes no arguments: -1 to go on, else the exit status after help was printed, or an
 * argument refused in one line. */
int process_only_help(int argc, char **argv, const char *help);

/* Before any thread starts: blocks the stop signals for all threads, starts the log, waits for PostgreSQL and
 * says so, refuses a database that lacks a migration, and starts the modules. On an error, or when it was
 * stopped while it waited, one line has been printed and nothing is left running. */
enum error_code process_begin(const char *role);
/* The same for a role that has nothing of the shop: neither its schema nor its modules. It waits for this
 * database. */
enum error_code process_begin_without_shop(const char *role, const char *database_url);
/* Until SIGTERM or SIGINT; what the role does happens on its threads. */
void process_wait(void);
/* Stops the modules, newest first, and the log. */
void process_end(const char *role);

#endif
