/* Whether Redis forgets what it may, and nothing else: docs/architecture.md, "Redis' memory". */
#ifndef CATHAY_REDIS_MEMORY_H
#define CATHAY_REDIS_MEMORY_H

#include "base/error.h"
#include "base/str.h"

/* Streams and stamps take up to some 6 MB for each kind of thing; what is left is for the cache. */
#define REDIS_MEMORY_LEAST ((int64_t)64 * 1024 * 1024)

struct redis_memory {
    struct str policy; /* points into the answer; absent: it was not told */
    int64_t max_bytes; /* 0: as much as there is */
};
/* Reads the answer to INFO memory, which managed servers allow where they forbid CONFIG. */
struct redis_memory redis_memory_parse(struct str info);
/* What is wrong with it, in a few words; NULL: nothing. */
const char *redis_memory_fault(const struct redis_memory *memory);

/* Asks the server once and logs a warning where it is not set up for the shop. A server that is away or does
 * not tell is passed over. ERR_VALIDATION: the URL is wrong. Blocks for REDIS_TIMEOUT_MS at the most. */
enum error_code redis_memory_check(const char *url, struct error *error);

#endif
