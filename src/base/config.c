#include "base/config.h"

#include "base/check.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern char **environ;

#define VARIABLE_MAX 80
#define VALUE_MAX 8192

static struct config current = {
#define SETTING_INT(name, value, ...) .name = (value),
#define SETTING_TEXT(name, value, ...) .name = (value),
#define SETTING_SECRET(name, ...) .name = "",
#include "base/settings.def"
#undef SETTING_INT
#undef SETTING_TEXT
#undef SETTING_SECRET
};

enum kind { KIND_INT, KIND_TEXT, KIND_SECRET };

static struct setting {
    const char *name;
    enum kind kind;
    int64_t *number;
    const char **text;
    int64_t least, most;
    const char *unit, *help;
    const char *source;
} settings[] = {
#define SETTING_INT(name, value, least, most, unit, help)                                                    \
    {#name, KIND_INT, &current.name, NULL, (least), (most), (unit), (help), "default"},
#define SETTING_TEXT(name, value, help) {#name, KIND_TEXT, NULL, &current.name, 0, 0, "", (help), "default"},
#define SETTING_SECRET(name, help) {#name, KIND_SECRET, NULL, &current.name, 0, 0, "", (help), "default"},
#include "base/settings.def"
#undef SETTING_INT
#undef SETTING_TEXT
#undef SETTING_SECRET
};

#define SETTING_COUNT (sizeof settings / sizeof settings[0])

static void variable_name(const struct setting *setting, char out[VARIABLE_MAX])
{
    bool bare = strcmp(setting->name, "database_url") == 0 || strcmp(setting->name, "redis_url") == 0;
    snprintf(out, VARIABLE_MAX, "%s%s", bare ? "" : "CATHAY_", setting->name);
    for (char *c = out; *c; c++)
        *c = (char)toupper((unsigned char)*c);
}

static enum error_code read_file(const char *variable, const char *path, char out[VALUE_MAX],
                                 struct error *error)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return error_set(error, ERR_VALIDATION, "%s_FILE: cannot read %s: %m", variable, path);
    size_t len = fread(out, 1, VALUE_MAX - 1, file);
    fclose(file);
    while (len > 0 && (out[len - 1] == '\n' || out[len - 1] == '\r'))
        len--;
    out[len] = '\0';
    return ERR_OK;
}

static enum error_code assign(struct setting *setting, const char *variable, const char *value,
                              const char *source, struct error *error)
{
    setting->source = source;
    if (setting->kind != KIND_INT) {
        *setting->text = strdup(value); /* lives as long as the process */
        CHECK(*setting->text);
        return ERR_OK;
    }
    if (!str_to_int64(str_from(value), setting->number))
        return error_set(error, ERR_VALIDATION, "%s: \"%s\" is not a whole number (%s)", variable, value,
                         setting->unit);
    if (*setting->number < setting->least || *setting->number > setting->most)
        return error_set(error, ERR_VALIDATION, "%s: %s is outside %lld to %lld %s", variable, value,
                         (long long)setting->least, (long long)setting->most, setting->unit);
    return ERR_OK;
}

static enum error_code load_one(struct setting *setting, struct error *error)
{
    char variable[VARIABLE_MAX], file_variable[VARIABLE_MAX + 8], text[VALUE_MAX];
    variable_name(setting, variable);
    snprintf(file_variable, sizeof file_variable, "%s_FILE", variable);
    const char *value = getenv(variable), *path = getenv(file_variable);
    if (value && path)
        return error_set(error, ERR_VALIDATION, "%s and %s are both set; keep one", variable, file_variable);
    if (path) {
        enum error_code code = read_file(variable, path, text, error);
        return code ? code : assign(setting, variable, text, "file", error);
    }
    return value ? assign(setting, variable, value, "environment", error) : ERR_OK;
}

static bool is_setting(struct str name)
{
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        char variable[VARIABLE_MAX];
        variable_name(&settings[i], variable);
        if (str_equal(name, str_from(variable)))
            return true;
    }
    return false;
}

/* A CATHAY_ variable that no setting has is a misspelt one. */
static enum error_code refuse_unknown(struct error *error)
{
    for (char **entry = environ; *entry; entry++) {
        const char *equals = strchr(*entry, '=');
        if (strncmp(*entry, "CATHAY_", 7) != 0 || strncmp(*entry, "CATHAY_TEST_", 12) == 0 || !equals)
            continue;
        struct str name = {*entry, (size_t)(equals - *entry)};
        bool known = is_setting(name); /* CATHAY_LOG_FILE ends like VARIABLE_FILE, and is a setting */
        if (!known && str_ends_with(name, STR("_FILE")))
            known = is_setting((struct str){name.ptr, name.len - 5});
        if (!known)
            return error_set(error, ERR_VALIDATION,
                             "%.*s: there is no such setting; `cathay config` lists them", STR_ARG(name));
    }
    return ERR_OK;
}

enum error_code config_load(struct error *error)
{
    enum error_code code = refuse_unknown(error);
    for (size_t i = 0; i < SETTING_COUNT && !code; i++)
        code = load_one(&settings[i], error);
    return code;
}

const struct config *config(void)
{
    return &current;
}

void config_print(void)
{
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const struct setting *setting = &settings[i];
        char variable[VARIABLE_MAX];
        variable_name(setting, variable);
        if (setting->kind == KIND_INT)
            printf("%-34s %lld %s", variable, (long long)*setting->number, setting->unit);
        else if (setting->kind == KIND_SECRET)
            printf("%-34s %s", variable, **setting->text ? "(hidden)" : "(not set)");
        else
            printf("%-34s %s", variable, **setting->text ? *setting->text : "(empty)");
        printf("   [%s] %s\n", setting->source, setting->help);
    }
}
