#include "http/cursor.h"

#include "api.h"
#include "base/check.h"

#include <pthread.h>
#include <sodium.h>

#define BASE64 sodium_base64_VARIANT_URLSAFE_NO_PADDING
#define SEALED_BYTES_MAX (CURSOR_CODE_BYTES + CURSOR_BYTES_MAX)

static struct {
    uint8_t keys[CURSOR_KEYS_MAX][CURSOR_KEY_BYTES];
    size_t count;
} service;

void cursor_keys_set(const uint8_t keys[][CURSOR_KEY_BYTES], size_t count)
{
    CHECK(count > 0 && count <= CURSOR_KEYS_MAX);
    memcpy(service.keys, keys, count * CURSOR_KEY_BYTES);
    service.count = count;
}

static void own_key(void)
{
    if (service.count == 0) {
        randombytes_buf(service.keys[0], CURSOR_KEY_BYTES);
        service.count = 1;
    }
}

static void code_of(size_t key, struct str list, const void *position, size_t bytes,
                    uint8_t code[CURSOR_CODE_BYTES])
{
    uint8_t digest[crypto_generichash_BYTES_MIN];
    uint64_t list_len = list.len;
    crypto_generichash_state state;
    crypto_generichash_init(&state, service.keys[key], CURSOR_KEY_BYTES, sizeof digest);
    crypto_generichash_update(&state, (const uint8_t *)&list_len, sizeof list_len);
    crypto_generichash_update(&state, (const uint8_t *)list.ptr, list.len);
    crypto_generichash_update(&state, position, bytes);
    crypto_generichash_final(&state, digest, sizeof digest);
    memcpy(code, digest, CURSOR_CODE_BYTES);
}

static void keys_ensure(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, own_key);
}

struct str cursor_seal(struct arena *arena, struct str list, const void *position, size_t bytes)
{
    uint8_t sealed[SEALED_BYTES_MAX];
    CHECK(bytes <= CURSOR_BYTES_MAX);
    keys_ensure();
    code_of(0, list, position, bytes, sealed);
    memcpy(sealed + CURSOR_CODE_BYTES, position, bytes);
    bytes += CURSOR_CODE_BYTES;
    size_t size = sodium_base64_encoded_len(bytes, BASE64);
    char *text = arena_bytes(arena, size);
    sodium_bin2base64(text, size, sealed, bytes, BASE64);
    return (struct str){text, size - 1};
}

bool cursor_open(struct str list, struct str cursor, void *position, size_t least, size_t most, size_t *bytes)
{
    uint8_t sealed[SEALED_BYTES_MAX], code[CURSOR_CODE_BYTES];
    size_t len = 0;
    CHECK(most <= CURSOR_BYTES_MAX);
    if (cursor.len == 0 ||
        sodium_base642bin(sealed, sizeof sealed, cursor.ptr, cursor.len, NULL, &len, NULL, BASE64) != 0 ||
        len < CURSOR_CODE_BYTES + least || len > CURSOR_CODE_BYTES + most)
        return false;
    const uint8_t *given = sealed + CURSOR_CODE_BYTES;
    *bytes = len - CURSOR_CODE_BYTES;
    keys_ensure();
    for (size_t key = 0; key < service.count; key++) {
        code_of(key, list, given, *bytes, code);
        if (sodium_memcmp(code, sealed, sizeof code) != 0)
            continue;
        memcpy(position, given, *bytes);
        return true;
    }
    return false;
}

static struct str list_of(const struct request *req)
{
    return str_from(req->route->operation_id);
}

struct str cursor_encode(const struct request *req, const void *position, size_t bytes)
{
    return cursor_seal(req->arena, list_of(req), position, bytes);
}

enum error_code cursor_refuse(struct request *req)
{
    error_field_add(&req->error, "cursor", "take next_cursor of the page before");
    return error_set(&req->error, ERR_VALIDATION, "The cursor is not one that this list has given");
}

enum error_code cursor_decode(struct request *req, struct str cursor, void *position, size_t bytes)
{
    size_t got;
    return cursor_open(list_of(req), cursor, position, bytes, bytes, &got) ? ERR_OK : cursor_refuse(req);
}

enum error_code cursor_read(struct request *req, bool has_cursor, struct str cursor, bool *present,
                            void *position, size_t bytes)
{
    *present = has_cursor;
    return has_cursor ? cursor_decode(req, cursor, position, bytes) : ERR_OK;
}
