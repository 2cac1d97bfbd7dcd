/* Arena: memory that is freed all at once. Lifetimes are process > worker > request > transaction, each with
 * an arena of its own. One thread at a time. Allocation never returns NULL: past the arena's maximum, which
 * is a bug or an input that a limit should have refused, the process stops. */
#ifndef CATHAY_BASE_ARENA_H
#define CATHAY_BASE_ARENA_H

#include "base/str.h"

#include <stdarg.h>

#define ARENA_CHUNK_BYTES ((size_t)16 * 1024)
#define ARENA_MAX_BYTES ((size_t)256 * 1024 * 1024)

struct arena;

struct arena *arena_new(void);
void arena_free(struct arena *arena);
/* Forgets all that was allocated and keeps the first chunk, so that a reused arena costs no malloc. */
void arena_reset(struct arena *arena);
/* Zeroed, aligned to 16 bytes. */
void *arena_alloc(struct arena *arena, size_t bytes);
/* Not zeroed, not aligned: for text. */
char *arena_bytes(struct arena *arena, size_t bytes);
struct str arena_copy(struct arena *arena, struct str s);
/* Copies and terminates: for libraries that want a C string. NULL for an absent string. */
char *arena_cstr(struct arena *arena, struct str s);
struct str arena_printf(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
size_t arena_used_bytes(const struct arena *arena);

#define ARENA_NEW(arena, type) ((type *)arena_alloc((arena), sizeof(type)))
#define ARENA_ARRAY(arena, type, count) ((type *)arena_alloc((arena), sizeof(type) * (count)))

#endif
