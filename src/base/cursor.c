#include "base/cursor.h"

#include "base/check.h"

#include <sodium.h>

/* Layout: version, kind, number and id in network order, text, check sum. */
#define CURSOR_VERSION 1
#define HEAD_BYTES (2 + 8 + 16)
#define SUM_BYTES 4
#define CURSOR_BYTES_MAX (HEAD_BYTES + CURSOR_TEXT_BYTES_MAX + SUM_BYTES)

static void sum_of(const unsigned char *bytes, size_t count, unsigned char sum[SUM_BYTES])
{
    uint64_t hash = str_hash((struct str){(const char *)bytes, count});
    for (int i = 0; i < SUM_BYTES; i++)
        sum[i] = (unsigned char)(hash >> (8 * i + 16));
}

struct str cursor_encode(struct arena *arena, const struct cursor *cursor)
{
    CHECK(cursor->text.len <= CURSOR_TEXT_BYTES_MAX);
    unsigned char bytes[CURSOR_BYTES_MAX];
    bytes[0] = CURSOR_VERSION;
    bytes[1] = (unsigned char)cursor->kind;
    for (int i = 0; i < 8; i++)
        bytes[2 + i] = (unsigned char)((uint64_t)cursor->number >> (56 - 8 * i));
    memcpy(bytes + 10, cursor->id.bytes, 16);
    if (cursor->text.len)
        memcpy(bytes + HEAD_BYTES, cursor->text.ptr, cursor->text.len);
    size_t length = HEAD_BYTES + cursor->text.len;
    sum_of(bytes, length, bytes + length);
    length += SUM_BYTES;
    size_t room = sodium_base64_encoded_len(length, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    char *text = arena_bytes(arena, room);
    sodium_bin2base64(text, room, bytes, length, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    return str_from(text);
}

static bool decode(struct arena *arena, struct str encoded, char kind, struct cursor *cursor)
{
    unsigned char bytes[CURSOR_BYTES_MAX];
    size_t length;
    if (sodium_base642bin(bytes, sizeof bytes, encoded.ptr, encoded.len, NULL, &length, NULL,
                          sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0)
        return false;
    if (length < HEAD_BYTES + SUM_BYTES || bytes[0] != CURSOR_VERSION || (char)bytes[1] != kind)
        return false;
    unsigned char sum[SUM_BYTES];
    sum_of(bytes, length - SUM_BYTES, sum);
    if (memcmp(sum, bytes + length - SUM_BYTES, SUM_BYTES) != 0)
        return false;
    uint64_t number = 0;
    for (int i = 0; i < 8; i++)
        number = number << 8 | bytes[2 + i];
    struct str text = {(const char *)bytes + HEAD_BYTES, length - HEAD_BYTES - SUM_BYTES};
    if (!str_is_utf8(text) || memchr(text.ptr, 0, text.len))
        return false;
    *cursor = (struct cursor){.kind = kind, .number = (int64_t)number, .text = arena_copy(arena, text)};
    memcpy(cursor->id.bytes, bytes + 10, 16);
    return true;
}

enum error_code cursor_decode(struct arena *arena, struct str encoded, char kind, struct cursor *cursor,
                              struct error *error)
{
    if (encoded.ptr && decode(arena, encoded, kind, cursor))
        return ERR_OK;
    if (error)
        error_field_add(error, "cursor", "is not a cursor of this list");
    return error_set(error, ERR_VALIDATION, "The cursor does not belong to this list");
}
