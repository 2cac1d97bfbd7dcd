#include "http/cursor.h"

#include "base/check.h"

#include <sodium.h>

struct str cursor_encode(struct arena *arena, const void *position, size_t bytes)
{
    CHECK(bytes <= CURSOR_BYTES_MAX);
    size_t size = sodium_base64_encoded_len(bytes, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    char *text = arena_bytes(arena, size);
    sodium_bin2base64(text, size, position, bytes, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    return (struct str){text, size - 1};
}

enum error_code cursor_decode(struct str cursor, void *position, size_t bytes, struct error *error)
{
    unsigned char decoded[CURSOR_BYTES_MAX];
    size_t len = 0;
    CHECK(bytes <= sizeof decoded);
    if (sodium_base642bin(decoded, sizeof decoded, cursor.ptr, cursor.len, NULL, &len, NULL,
                          sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0 ||
        len != bytes) {
        error_field_add(error, "cursor", "is not a cursor of this list");
        return error_set(error, ERR_BAD_REQUEST, "The cursor is not one that this list gave");
    }
    memcpy(position, decoded, bytes);
    return ERR_OK;
}

enum error_code cursor_read(bool has_cursor, struct str cursor, bool *present, void *position, size_t bytes,
                            struct error *error)
{
    *present = has_cursor;
    return has_cursor ? cursor_decode(cursor, position, bytes, error) : ERR_OK;
}
