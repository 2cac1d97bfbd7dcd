/* The rules of a sale, as plain functions. */
#include "shop/sale/sale.h"

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
    return sale->cancelled                ? SALE_CANCELLED
           : now_us >= sale->ends_at_us   ? SALE_ENDED
           : now_us < sale->starts_at_us  ? SALE_UPCOMING
           : sale->sold >= sale->quantity ? SALE_SOLD_OUT
                                          : SALE_OPEN;
}

enum error_code sale_refusal(const struct sale *sale, int64_t now_us, int32_t taken, int32_t quantity,
                             struct error *error)
{
    enum sale_state state = sale_state(sale, now_us);
    if (state == SALE_UPCOMING)
        return error_set(error, ERR_SALE_NOT_OPEN, "The sale has not begun yet");
    if (state == SALE_ENDED || state == SALE_CANCELLED)
        return error_set(error, ERR_SALE_ENDED, "The sale %s",
                         state == SALE_ENDED ? "is over" : "was called off");
    if (quantity > sale->per_customer - taken) {
        error_field_add(error, "quantity", "sale_limit: %d", sale->per_customer - taken);
        return error_set(error, ERR_SALE_LIMIT, "This sale gives at most %d to a customer",
                         sale->per_customer);
    }
    if (quantity > sale->quantity - sale->sold) {
        error_field_add(error, "quantity", "sold_out: %d", sale->quantity - sale->sold);
        return error_set(error, ERR_SALE_SOLD_OUT,
                         "The sale is sold out; units whose orders are not paid come back");
    }
    return ERR_OK;
}

void sale_admission_key(struct user_id customer_id, struct str idempotency_key, uint8_t key[SALE_KEY_BYTES])
{
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, SALE_KEY_BYTES);
    crypto_generichash_update(&state, customer_id.uuid.bytes, sizeof customer_id.uuid.bytes);
    crypto_generichash_update(&state, (const unsigned char *)idempotency_key.ptr, idempotency_key.len);
    crypto_generichash_final(&state, key, SALE_KEY_BYTES);
}
