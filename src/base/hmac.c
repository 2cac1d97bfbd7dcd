#include "base/hmac.h"

#include <sodium.h>

void hmac_sha256_hex(struct str key, const struct str *pieces, size_t count, char out[HMAC_HEX_LEN + 1])
{
    crypto_auth_hmacsha256_state state;
    unsigned char mac[crypto_auth_hmacsha256_BYTES];
    crypto_auth_hmacsha256_init(&state, (const unsigned char *)(key.ptr ? key.ptr : ""), key.len);
    for (size_t i = 0; i < count; i++)
        if (pieces[i].len)
            crypto_auth_hmacsha256_update(&state, (const unsigned char *)pieces[i].ptr, pieces[i].len);
    crypto_auth_hmacsha256_final(&state, mac);
    sodium_bin2hex(out, HMAC_HEX_LEN + 1, mac, sizeof mac);
    sodium_memzero(&state, sizeof state);
}

bool hmac_hex_equal(const char expected[HMAC_HEX_LEN + 1], struct str given)
{
    return given.len == HMAC_HEX_LEN && sodium_memcmp(expected, given.ptr, HMAC_HEX_LEN) == 0;
}
