#include "base/hmac.h"

#include "base/check.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <sodium.h>

#define BLOCK_BYTES 64
#define DIGEST_BYTES 32

static EVP_MD *sha256; /* looked up once: that takes as long as hashing a kilobyte */

static void fetch(void)
{
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    CHECK(sha256);
}

/* One pass: SHA-256 of the padded key and then the pieces. OpenSSL's, which uses the processor's own
 * instructions; libsodium's portable one takes five times as long, and every webhook is signed. */
static void pass(const unsigned char pad[BLOCK_BYTES], const struct str *pieces, size_t count,
                 unsigned char digest[DIGEST_BYTES])
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    CHECK(context && EVP_DigestInit_ex(context, sha256, NULL) && EVP_DigestUpdate(context, pad, BLOCK_BYTES));
    for (size_t i = 0; i < count; i++)
        if (pieces[i].len)
            CHECK(EVP_DigestUpdate(context, pieces[i].ptr, pieces[i].len));
    CHECK(EVP_DigestFinal_ex(context, digest, NULL));
    EVP_MD_CTX_free(context);
}

void hmac_sha256_hex(struct str key, const struct str *pieces, size_t count, char out[HMAC_HEX_LEN + 1])
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, fetch);
    unsigned char padded[BLOCK_BYTES] = {0}, inner[BLOCK_BYTES], outer[BLOCK_BYTES], digest[DIGEST_BYTES];
    if (key.len > BLOCK_BYTES)
        CHECK(EVP_Digest(key.ptr, key.len, padded, NULL, sha256, NULL));
    else if (key.len)
        memcpy(padded, key.ptr, key.len);
    for (size_t i = 0; i < BLOCK_BYTES; i++) {
        inner[i] = padded[i] ^ 0x36;
        outer[i] = padded[i] ^ 0x5c;
    }
    pass(inner, pieces, count, digest);
    const struct str inner_digest = {(const char *)digest, sizeof digest};
    pass(outer, &inner_digest, 1, digest);
    sodium_bin2hex(out, HMAC_HEX_LEN + 1, digest, sizeof digest);
    sodium_memzero(padded, sizeof padded);
    sodium_memzero(inner, sizeof inner);
    sodium_memzero(outer, sizeof outer);
}

bool hmac_hex_equal(const char expected[HMAC_HEX_LEN + 1], struct str given)
{
    return given.len == HMAC_HEX_LEN && sodium_memcmp(expected, given.ptr, HMAC_HEX_LEN) == 0;
}
