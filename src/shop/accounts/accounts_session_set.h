/* A set of sessions in memory, each until a time of its own: those that have ended while access tokens of
 * theirs may still run. */
#ifndef CATHAY_SHOP_ACCOUNTS_ACCOUNTS_SESSION_SET_H
#define CATHAY_SHOP_ACCOUNTS_ACCOUNTS_SESSION_SET_H

#include "base/id.h"

#include <stddef.h>

/* Thread-safe; each call holds a lock for some nanoseconds. */
struct session_set;
struct session_set *session_set_new(size_t entries_max);
void session_set_free(struct session_set *set);
/* Kept until `until_s`. False: the set is full, and the session is not in it. */
bool session_set_add(struct session_set *set, struct session_id id, int64_t until_s);
bool session_set_has(struct session_set *set, struct session_id id);
/* Forgets those whose time has passed. */
void session_set_expire(struct session_set *set, int64_t now_s);
size_t session_set_count(struct session_set *set);

#endif
