/* Shapes that generated queries share with whoever calls them: values that may be NULL, and arrays. The
 * arrays of str, uuid and of each kind of id are declared beside those types, in base/str.h and base/id.h.
 * Items belong to the caller (parameters) or to the arena (results). */
#ifndef CATHAY_PG_PG_TYPES_H
#define CATHAY_PG_PG_TYPES_H

#include "base/id.h"
#include "base/str.h"

/* A value that may be NULL: `value` means nothing unless `present`. */
#define PG_TYPES_OPTIONAL(name, type)                                                                        \
    struct opt_##name {                                                                                      \
        bool present;                                                                                        \
        type value;                                                                                          \
    };
#define PG_TYPES_ARRAY(name, type)                                                                           \
    struct name##_array {                                                                                    \
        const type *items;                                                                                   \
        size_t count;                                                                                        \
    };

PG_TYPES_OPTIONAL(bool, bool)
PG_TYPES_OPTIONAL(int16, int16_t)
PG_TYPES_OPTIONAL(int32, int32_t)
PG_TYPES_OPTIONAL(int64, int64_t)
PG_TYPES_OPTIONAL(uuid, struct uuid)

PG_TYPES_ARRAY(bool, bool)
PG_TYPES_ARRAY(int16, int16_t)
PG_TYPES_ARRAY(int32, int32_t)
PG_TYPES_ARRAY(int64, int64_t)
PG_TYPES_ARRAY(opt_bool, struct opt_bool)
PG_TYPES_ARRAY(opt_int16, struct opt_int16)
PG_TYPES_ARRAY(opt_int32, struct opt_int32)
PG_TYPES_ARRAY(opt_int64, struct opt_int64)
PG_TYPES_ARRAY(opt_uuid, struct opt_uuid)

/* struct opt_order_id, struct opt_order_id_array … and opt_order_id(id), which makes a present one. */
#define ID_KIND(name, prefix)                                                                                \
    PG_TYPES_OPTIONAL(name##_id, struct name##_id)                                                           \
    PG_TYPES_ARRAY(opt_##name##_id, struct opt_##name##_id)                                                  \
    static inline struct opt_##name##_id opt_##name##_id(struct name##_id id)                                \
    {                                                                                                        \
        return (struct opt_##name##_id){true, id};                                                           \
    }
#include "base/ids.def"
#undef ID_KIND

static inline struct opt_bool opt_bool(bool value)
{
    return (struct opt_bool){true, value};
}
static inline struct opt_int32 opt_int32(int32_t value)
{
    return (struct opt_int32){true, value};
}
static inline struct opt_int64 opt_int64(int64_t value)
{
    return (struct opt_int64){true, value};
}

#endif
