/* The rules of a sale without a database (INV-6). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "shop/sale/sale.h"

static struct sale sale_make(void)
{
    return (struct sale){
        .quantity = 10, .sold = 7, .per_customer = 2, .starts_at_us = 1000, .ends_at_us = 2000, .version = 1};
}

static void states_by_time(void **state)
{
    (void)state;
    struct sale sale = sale_make();
    assert_int_equal(sale_state(&sale, 999), SALE_UPCOMING);
    assert_int_equal(sale_state(&sale, 1000), SALE_OPEN);
    assert_int_equal(sale_state(&sale, 1999), SALE_OPEN);
    assert_int_equal(sale_state(&sale, 2000), SALE_ENDED);
    sale.sold = 10;
    assert_int_equal(sale_state(&sale, 999), SALE_UPCOMING);
    assert_int_equal(sale_state(&sale, 1500), SALE_SOLD_OUT);
    assert_int_equal(sale_state(&sale, 2000), SALE_ENDED);
    sale.cancelled = true;
    assert_int_equal(sale_state(&sale, 1500), SALE_CANCELLED);
}

/* Units came back to a sale that had been sold out: they are sold later. */
static void sold_out_for_a_while(void **state)
{
    (void)state;
    struct sale sale = sale_make();
    struct error error = {.code = ERR_OK};
    sale.reopens_at_us = 1600;
    assert_int_equal(sale_state(&sale, 1599), SALE_SOLD_OUT);
    assert_int_equal(sale_state(&sale, 1600), SALE_OPEN);
    assert_int_equal(sale_refusal(&sale, 1599, 0, 1, &error), ERR_SALE_SOLD_OUT);
    assert_int_equal(error.retry_after_s, SALE_RETRY_S);
    assert_int_equal(sale_refusal(&sale, 1599, 2, 1, &error), ERR_SALE_LIMIT);
    assert_int_equal(sale_refusal(&sale, 1600, 0, 1, &error), ERR_OK);
}

static void early_buyers_are_told_when(void **state)
{
    (void)state;
    struct sale sale = sale_make();
    struct error error = {.code = ERR_OK};
    sale.starts_at_us = 5000001;
    sale.ends_at_us = 9000000;
    assert_int_equal(sale_refusal(&sale, 1, 0, 1, &error), ERR_SALE_NOT_OPEN);
    assert_int_equal(error.retry_after_s, 5);
    assert_int_equal(sale_refusal(&sale, 5000000, 0, 1, &error), ERR_SALE_NOT_OPEN);
    assert_int_equal(error.retry_after_s, 1);
}

static enum error_code refusal(const struct sale *sale, int64_t now_us, int32_t taken, int32_t quantity)
{
    struct error error = {.code = ERR_OK};
    enum error_code code = sale_refusal(sale, now_us, taken, quantity, &error);
    assert_int_equal(error.code, code);
    return code;
}

static void refusals_in_order(void **state)
{
    (void)state;
    struct sale sale = sale_make();
    assert_int_equal(refusal(&sale, 999, 0, 1), ERR_SALE_NOT_OPEN);
    assert_int_equal(refusal(&sale, 2000, 0, 1), ERR_SALE_ENDED);
    assert_int_equal(refusal(&sale, 1500, 0, 2), ERR_OK);
    assert_int_equal(refusal(&sale, 1500, 1, 1), ERR_OK);
    assert_int_equal(refusal(&sale, 1500, 1, 2), ERR_SALE_LIMIT);
    assert_int_equal(refusal(&sale, 1500, 2, 1), ERR_SALE_LIMIT);
    sale.sold = 9;
    assert_int_equal(refusal(&sale, 1500, 0, 1), ERR_OK);
    assert_int_equal(refusal(&sale, 1500, 0, 2), ERR_SALE_SOLD_OUT);
    assert_int_equal(refusal(&sale, 1500, 2, 1), ERR_SALE_LIMIT);
    sale.cancelled = true;
    assert_int_equal(refusal(&sale, 1500, 0, 1), ERR_SALE_ENDED);
}

static void keys_tell_customers_and_purchases_apart(void **state)
{
    (void)state;
    uint8_t one[SALE_KEY_BYTES], again[SALE_KEY_BYTES], other[SALE_KEY_BYTES];
    struct user_id customer = {{{1}}};
    sale_admission_key(customer, STR("a"), one);
    sale_admission_key(customer, STR("a"), again);
    assert_memory_equal(one, again, sizeof one);
    sale_admission_key(customer, STR("b"), other);
    assert_memory_not_equal(one, other, sizeof one);
    sale_admission_key((struct user_id){{{2}}}, STR("a"), other);
    assert_memory_not_equal(one, other, sizeof one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states_by_time),
        cmocka_unit_test(sold_out_for_a_while),
        cmocka_unit_test(early_buyers_are_told_when),
        cmocka_unit_test(refusals_in_order),
        cmocka_unit_test(keys_tell_customers_and_purchases_apart),
    };
    return cmocka_run_group_tests_name("sale", tests, NULL, NULL);
}
