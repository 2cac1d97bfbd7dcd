/* Subcommands: each gets the arguments behind its name (argv[0] is the name itself) and returns the exit
 * status. The configuration has been loaded before. Status 0: done; 1: found something wrong; 2: could not do
 * it (said on standard error in one line). */
#ifndef CATHAY_APP_COMMANDS_H
#define CATHAY_APP_COMMANDS_H

int migrate_command(int argc, char **argv);
int sql_check_command(int argc, char **argv);
int worker_command(int argc, char **argv);
int scheduler_command(int argc, char **argv);
int tasks_command(int argc, char **argv);
int verify_command(int argc, char **argv);
int user_command(int argc, char **argv);
int demo_command(int argc, char **argv);
int config_command(int argc, char **argv);
int serve_command(int argc, char **argv);
int sandbox_command(int argc, char **argv);
int all_command(int argc, char **argv);
int supervise_command(int argc, char **argv);

#endif
