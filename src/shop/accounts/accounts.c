#include "shop/accounts/accounts.h"

#include "api.h"
#include "shop/accounts/accounts_rules.h"

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
