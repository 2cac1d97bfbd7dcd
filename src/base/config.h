/* Configuration from the environment: one table (settings.def) gives name, unit, limits and help. Read once
 * at the start; constant afterwards, so any thread may read it. */
#ifndef CATHAY_BASE_CONFIG_H
#define CATHAY_BASE_CONFIG_H

#include "base/error.h"

struct config {
#define SETTING_INT(name, ...) int64_t name;
#define SETTING_TEXT(name, ...) const char *name;
#define SETTING_SECRET(name, ...) const char *name;
#include "base/settings.def"
#undef SETTING_INT
#undef SETTING_TEXT
#undef SETTING_SECRET
};

/* Reads the environment. On a wrong or unknown CATHAY_ variable: one clear line in error, ERR_VALIDATION. */
enum error_code config_load(struct error *error);
/* The settings in force. Before config_load: the defaults. Never NULL. */
const struct config *config(void);
/* One line a setting to standard output: variable, value (secrets hidden), unit, where it came from, help. */
void config_print(void);

#endif
