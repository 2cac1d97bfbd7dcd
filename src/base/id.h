/* Identifiers. Every entity has a UUIDv7 (RFC 9562): sortable by time, 74 random bits from the kernel's
 * generator, so nobody guesses one. Ids of different things are different C types; on the wire an id is its
 * kind's prefix, an underscore and 32 hex digits. Thread-safe; nothing blocks. */
#ifndef CATHAY_BASE_ID_H
#define CATHAY_BASE_ID_H

#include "base/str.h"

#include <endian.h>

struct uuid {
    uint8_t bytes[16];
};

struct uuid_array {
    const struct uuid *items;
    size_t count;
};

/* A new UUIDv7; within one thread each is greater than the one before. */
struct uuid uuid_new(void);
/* The smallest UUIDv7 of that time: a bound for range scans. Times before 1970 are the beginning of it. */
struct uuid uuid_floor(int64_t time_us);
/* Milliseconds since 1970 that a UUIDv7 carries. */
int64_t uuid_time_ms(struct uuid id);
/* A stable uuid from a namespace and a text: for ids that have to be the same on every run. UUIDv8 layout. */
struct uuid uuid_derived(struct uuid space, struct str text);
static inline bool uuid_equal(struct uuid a, struct uuid b)
{
    return memcmp(a.bytes, b.bytes, sizeof a.bytes) == 0;
}
/* The order of PostgreSQL's uuid: byte by byte. Two numbers, as lists of a batch are sorted and searched by
 * it. */
static inline int uuid_compare(struct uuid a, struct uuid b)
{
    for (size_t half = 0; half < sizeof a.bytes; half += 8) {
        uint64_t x, y;
        memcpy(&x, a.bytes + half, 8);
        memcpy(&y, b.bytes + half, 8);
        if (x != y)
            return be64toh(x) < be64toh(y) ? -1 : 1;
    }
    return 0;
}
static inline bool uuid_is_zero(struct uuid a)
{
    return uuid_equal(a, (struct uuid){{0}});
}
/* 32 lower-case hex digits, not terminated. */
void uuid_hex(struct uuid id, char out[32]);
/* 32 hex digits in small letters, or 36 characters with hyphens. */
bool uuid_parse(struct str text, struct uuid *id);

#define ID_TEXT_MAX 40
/* "ord_0192…", terminated; the length is returned. */
size_t id_format(struct uuid id, const char *prefix, char out[ID_TEXT_MAX]);
bool id_parse_prefixed(struct str text, const char *prefix, struct uuid *id);

/* struct order_id, struct order_id_array, order_id_new(), order_id_text(id, out), order_id_parse(text, &id) …
 */
#define ID_KIND(name, prefix)                                                                                \
    struct name##_id {                                                                                       \
        struct uuid uuid;                                                                                    \
    };                                                                                                       \
    struct name##_id_array {                                                                                 \
        const struct name##_id *items;                                                                       \
        size_t count;                                                                                        \
    };                                                                                                       \
    static inline struct name##_id name##_id_new(void)                                                       \
    {                                                                                                        \
        return (struct name##_id){uuid_new()};                                                               \
    }                                                                                                        \
    static inline size_t name##_id_text(struct name##_id id, char out[ID_TEXT_MAX])                          \
    {                                                                                                        \
        return id_format(id.uuid, prefix, out);                                                              \
    }                                                                                                        \
    static inline bool name##_id_parse(struct str text, struct name##_id *id)                                \
    {                                                                                                        \
        return id_parse_prefixed(text, prefix, &id->uuid);                                                   \
    }                                                                                                        \
    static inline bool name##_id_equal(struct name##_id a, struct name##_id b)                               \
    {                                                                                                        \
        return uuid_equal(a.uuid, b.uuid);                                                                   \
    }
#include "base/ids.def"
#undef ID_KIND

#endif
