#include "base/arena.h"

#include "base/check.h"
#include "base/poison.h"

#include <stdio.h>
#include <stdlib.h>

struct chunk {
    struct chunk *next;
    size_t size;
    size_t used;
    _Alignas(16) char data[];
};

struct arena {
    struct chunk *current; /* newest first */
    size_t total;          /* of all chunks */
};

static struct chunk *chunk_new(size_t size)
{
    struct chunk *chunk = malloc(sizeof *chunk + size);
    CHECK(chunk);
    chunk->next = NULL;
    chunk->size = size;
    chunk->used = 0;
    MEMORY_POISON(chunk->data, size);
    return chunk;
}

struct arena *arena_new(void)
{
    struct arena *arena = malloc(sizeof *arena);
    CHECK(arena);
    arena->current = chunk_new(ARENA_CHUNK_BYTES);
    arena->total = ARENA_CHUNK_BYTES;
    return arena;
}

void arena_reset(struct arena *arena)
{
    while (arena->current->next) {
        struct chunk *newest = arena->current;
        arena->current = newest->next;
        free(newest);
    }
    arena->current->used = 0;
    arena->total = arena->current->size;
    MEMORY_POISON(arena->current->data, arena->current->size);
}

void arena_free(struct arena *arena)
{
    if (!arena)
        return;
    arena_reset(arena);
    free(arena->current);
    free(arena);
}

static char *take(struct arena *arena, size_t bytes, size_t align)
{
    struct chunk *chunk = arena->current;
    size_t start = (chunk->used + (align - 1)) & ~(align - 1);
    if (start + bytes > chunk->size || start + bytes < bytes) {
        size_t size = bytes > ARENA_CHUNK_BYTES / 2 ? bytes + ARENA_CHUNK_BYTES : ARENA_CHUNK_BYTES;
        CHECK(bytes <= ARENA_MAX_BYTES && arena->total + size <= ARENA_MAX_BYTES);
        struct chunk *fresh = chunk_new(size);
        fresh->next = chunk;
        arena->current = chunk = fresh;
        arena->total += size;
        start = 0;
    }
    chunk->used = start + bytes;
    MEMORY_UNPOISON(chunk->data + start, bytes);
    return chunk->data + start;
}

void *arena_alloc(struct arena *arena, size_t bytes)
{
    return memset(take(arena, bytes, 16), 0, bytes);
}

char *arena_bytes(struct arena *arena, size_t bytes)
{
    return take(arena, bytes, 1);
}

struct str arena_copy(struct arena *arena, struct str s)
{
    if (!s.ptr)
        return STR_NONE;
    char *copy =
        arena_bytes(arena, s.len + 1); /* one more, so that an empty string has an address of its own */
    memcpy(copy, s.ptr, s.len);
    copy[s.len] = '\0';
    return (struct str){copy, s.len};
}

char *arena_cstr(struct arena *arena, struct str s)
{
    return (char *)(uintptr_t)arena_copy(arena, s).ptr;
}

struct str arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    CHECK(len >= 0);
    char *text = arena_bytes(arena, (size_t)len + 1);
    vsnprintf(text, (size_t)len + 1, format, again);
    va_end(again);
    return (struct str){text, (size_t)len};
}

size_t arena_used_bytes(const struct arena *arena)
{
    size_t used = 0;
    for (const struct chunk *chunk = arena->current; chunk; chunk = chunk->next)
        used += chunk->used;
    return used;
}
