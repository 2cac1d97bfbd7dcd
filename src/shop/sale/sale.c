/* The rules of a sale, as plain functions. */
#include "shop/sale/sale_internal.h"

#include "base/check.h"

#include <sodium.h>

struct currency sale_currency(struct str text)
{
    struct currency currency;
    CHECK(currency_parse(text, &currency));
    return currency;
}

enum sale_state sale_state(const struct sale *sale, int64_t now_us)
{
    bool sold_out = sale->sold >= sale->quantity || now_us < sale->reopens_at_us;
    return sale->cancelled               ? SALE_CANCELLED
           : now_us >= sale->ends_at_us  ? SALE_ENDED
           : now_us < sale->starts_at_us ? SALE_UPCOMING
           : sold_out                    ? SALE_SOLD_OUT
                                         : SALE_OPEN;
}

static void come_back_in(struct error *error, int64_t us)
{
    if (error)
        error->retry_after_s = us > 0 ? (us + 999999) / 1000000 : 1;
}

enum error_code sale_refusal_not_open(const struct sale *sale, int64_t now_us, struct error *error)
{
    come_back_in(error, sale->starts_at_us - now_us);
    return error_set(error, ERR_SALE_NOT_OPEN, "The sale has not begun yet");
}

enum error_code sale_refusal_sold_out(struct error *error)
{
    come_back_in(error, SALE_RETRY_S * INT64_C(1000000));
    return error_set(error, ERR_SALE_SOLD_OUT,
                     "The sale is sold out; units whose orders are not paid come back");
}

enum error_code sale_refusal(const struct sale *sale, int64_t now_us, int32_t taken, int32_t quantity,
                             struct error *error)
{
    enum sale_state state = sale_state(sale, now_us);
    if (state == SALE_UPCOMING)
        return sale_refusal_not_open(sale, now_us, error);
    if (state == SALE_ENDED || state == SALE_CANCELLED)
        return error_set(error, ERR_SALE_ENDED, "The sale %s",
                         state == SALE_ENDED ? "is over" : "was called off");
    if (quantity > sale->per_customer - taken) {
        error_field_add(error, "quantity", "sale_limit: %d", sale->per_customer - taken);
        return error_set(error, ERR_SALE_LIMIT, "This sale gives at most %d to a customer",
                         sale->per_customer);
    }
    int32_t left = state == SALE_SOLD_OUT ? 0 : sale->quantity - sale->sold;
    if (quantity <= left)
        return ERR_OK;
    error_field_add(error, "quantity", "sold_out: %d", left);
    return sale_refusal_sold_out(error);
}

void sale_admission_key(struct user_id customer_id, struct str idempotency_key, uint8_t key[SALE_KEY_BYTES])
{
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, SALE_KEY_BYTES);
    crypto_generichash_update(&state, customer_id.uuid.bytes, sizeof customer_id.uuid.bytes);
    crypto_generichash_update(&state, (const unsigned char *)idempotency_key.ptr, idempotency_key.len);
    crypto_generichash_final(&state, key, SALE_KEY_BYTES);
}
