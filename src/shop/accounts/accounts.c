#include "shop/accounts/accounts.h"

#include "api.h"
#include "shop/accounts/accounts_rules.h"

#include <ctype.h>

/* The contract lists the roles in the order of enum api_role. */
_Static_assert((int)API_USER_ROLE_CUSTOMER == (int)ROLE_CUSTOMER &&
                   (int)API_USER_ROLE_VENDOR == (int)ROLE_VENDOR &&
                   (int)API_USER_ROLE_SUPPORT == (int)ROLE_SUPPORT &&
                   (int)API_USER_ROLE_MANAGER == (int)ROLE_MANAGER &&
                   (int)API_USER_ROLE_ADMIN == (int)ROLE_ADMIN,
               "roles of the contract and of requests differ");

const char *accounts_role_text(enum api_role role)
{
    return role >= ROLE_CUSTOMER && role <= ROLE_ADMIN ? api_user_role_names[role - 1] : NULL;
}

bool accounts_role_parse(struct str text, enum api_role *role)
{
    *role = (enum api_role)api_user_role_parse(text);
    return *role != ROLE_ANONYMOUS;
}

bool user_role_may_manage(enum api_role actor, enum api_role target)
{
    if (actor == ROLE_ADMIN)
        return true;
    return actor == ROLE_MANAGER &&
           (target == ROLE_CUSTOMER || target == ROLE_VENDOR || target == ROLE_SUPPORT);
}

static bool is_atom(char c)
{
    return isalnum((unsigned char)c) || (c && strchr(".!#$%&'*+/=?^_`{|}~-", c));
}

static bool local_part_is_valid(struct str local)
{
    if (local.len == 0 || local.len > 64 || local.ptr[0] == '.' || local.ptr[local.len - 1] == '.')
        return false;
    for (size_t i = 0; i < local.len; i++)
        if (!is_atom(local.ptr[i]) || (local.ptr[i] == '.' && local.ptr[i - 1] == '.'))
            return false;
    return true;
}

static bool domain_is_valid(struct str domain)
{
    size_t labels = 0;
    while (domain.ptr) {
        struct str label = str_split(&domain, '.');
        if (label.len == 0 || label.len > 63 || label.ptr[0] == '-' || label.ptr[label.len - 1] == '-')
            return false;
        for (size_t i = 0; i < label.len; i++)
            if (!isalnum((unsigned char)label.ptr[i]) && label.ptr[i] != '-')
                return false;
        labels++;
    }
    return labels >= 2;
}

bool user_email_normalise(struct arena *arena, struct str typed, struct str *email)
{
    typed = str_trim(typed);
    if (typed.len == 0 || typed.len > EMAIL_BYTES_MAX)
        return false;
    char *lower = arena_bytes(arena, typed.len);
    for (size_t i = 0; i < typed.len; i++) {
        if ((unsigned char)typed.ptr[i] >= 128)
            return false;
        lower[i] = (char)tolower((unsigned char)typed.ptr[i]);
    }
    *email = (struct str){lower, typed.len};
    struct str domain = *email;
    struct str local = str_split(&domain, '@');
    return domain.ptr && local_part_is_valid(local) && domain_is_valid(domain);
}

const char *user_name_refusal(struct str *name)
{
    *name = str_trim(*name);
    if (name->len == 0)
        return "is blank";
    for (size_t i = 0; i < name->len; i++)
        if ((unsigned char)name->ptr[i] < 32 || name->ptr[i] == 127)
            return "has control characters";
    return NULL;
}

enum refresh_outcome refresh_decide(const struct refresh_facts *facts, int64_t grace_s)
{
    if (facts->session_ended || facts->session_expired || facts->account_blocked)
        return REFRESH_REFUSE;
    if (!facts->used)
        return REFRESH_ROTATE;
    if (!facts->successor_used && facts->used_ago_us <= grace_s * 1000000)
        return REFRESH_REPEAT;
    return REFRESH_REUSE;
}
