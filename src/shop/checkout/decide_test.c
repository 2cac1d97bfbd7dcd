/* The decision of checkout without a database (CHK-1, CHK-3 to CHK-5, INV-2): a small shop is laid out in
 * memory, orders are decided in a batch, and what was taken is compared with what was there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <stdio.h>

#include "shop/checkout/decide.h"

#define VARIANTS 4
#define LOCATIONS 2

struct shop {
    struct miles_policy policy;
    struct checkout_variant variants[VARIANTS];
    struct checkout_stock stock[VARIANTS][LOCATIONS];
    struct checkout_stocks stocks[VARIANTS];
    struct checkout_account account;
    struct checkout_cart cart;
};

static void shop_make(struct shop *shop, int32_t available)
{
    memset(shop, 0, sizeof *shop);
    struct currency hkd = {"HKD"};
    shop->policy = (struct miles_policy){.version = 1,
                                         .currency = hkd,
                                         .minimum_points = 100,
                                         .step_points = 100,
                                         .maximum_share = 10000,
                                         .points_unit = 100,
                                         .minor_unit = 1000,
                                         .earn_minor = 400,
                                         .earn_points = 1};
    for (uint8_t v = 0; v < VARIANTS; v++) {
        shop->variants[v] = (struct checkout_variant){.variant_id = {{{v + 1}}},
                                                      .currency = hkd,
                                                      .for_sale = true,
                                                      .has_price = true,
                                                      .price_minor = 1000 * (v + 1)};
        for (uint8_t l = 0; l < LOCATIONS; l++)
            shop->stock[v][l] =
                (struct checkout_stock){.location_id = {{{0x10, l}}}, .priority = l, .available = available};
        shop->stocks[v] = (struct checkout_stocks){
            .variant_id = shop->variants[v].variant_id, .items = shop->stock[v], .count = LOCATIONS};
    }
    shop->account = (struct checkout_account){.exists = true, .available = 10000};
    shop->cart = (struct checkout_cart){.exists = true, .open = true, .version = 3};
}

static void line_make(struct shop *shop, struct checkout_line *line, int variant, int32_t quantity)
{
    *line = (struct checkout_line){.variant_id = shop->variants[variant].variant_id,
                                   .quantity = quantity,
                                   .unit_price_minor = shop->variants[variant].price_minor,
                                   .variant = &shop->variants[variant],
                                   .stocks = &shop->stocks[variant]};
}

static struct checkout_order order_make(struct shop *shop, struct checkout_line *lines, size_t count,
                                        int64_t points)
{
    return (struct checkout_order){.currency = {"HKD"},
                                   .key = STR("key"),
                                   .body_hash = STR("the hash of a body, 32 bytes all"),
                                   .points = points,
                                   .lines = lines,
                                   .line_count = count,
                                   .account = &shop->account,
                                   .policy = &shop->policy};
}

static void decide_one(struct checkout_order *order)
{
    struct checkout_order *orders[] = {order};
    checkout_decide(orders, 1);
}

static void accepted_whole(void **state)
{
    (void)state;
    struct shop shop;
    shop_make(&shop, 5);
    struct checkout_line lines[2];
    line_make(&shop, &lines[0], 0, 2);
    line_make(&shop, &lines[1], 1, 7); /* 5 from one place, 2 from the other */
    struct checkout_order order = order_make(&shop, lines, 2, 500);
    decide_one(&order);
    assert_int_equal(order.outcome, CHECKOUT_ACCEPTED);
    assert_int_equal(order.subtotal_minor, 2 * 1000 + 7 * 2000);
    assert_int_equal(order.points_value_minor, 5000);
    assert_int_equal(order.cash_minor, 11000);
    assert_int_equal(order.earn_points, 27);
    assert_int_equal(lines[0].part_count, 1);
    assert_int_equal(lines[1].part_count, 2);
    assert_int_equal(shop.stock[1][0].available, 0);
    assert_int_equal(shop.stock[1][1].reserve, 2);
    assert_int_equal(shop.account.available, 9500);
    assert_int_equal(shop.account.hold, 500);
}

static void waits_for_payment_within_bounds(void **state)
{
    (void)state;
    struct shop shop;
    shop_make(&shop, 1000);
    shop.account.unpaid_limited = true;
    shop.account.unpaid = (struct order_unpaid){.orders = 8, .units = 90}; /* of 10 and 100 */
    struct checkout_line lines[4];
    struct checkout_order orders[4], *batch[4];
    static const int32_t quantities[4] = {11, 10, 1, 1};
    for (int i = 0; i < 4; i++) {
        line_make(&shop, &lines[i], 0, quantities[i]);
        orders[i] = order_make(&shop, &lines[i], 1, 0);
        batch[i] = &orders[i];
    }
    checkout_decide(batch, 4);
    assert_int_equal(orders[0].code, ERR_UNPAID_LIMIT);
    assert_string_equal(orders[0].error.fields[0].reason, "unpaid_units: 10");
    assert_int_equal(orders[1].outcome, CHECKOUT_ACCEPTED);
    assert_int_equal(orders[2].code, ERR_UNPAID_LIMIT);
    assert_string_equal(orders[2].error.fields[0].reason, "unpaid_units: 0");
    assert_int_equal(shop.account.unpaid.orders, 9);
    assert_int_equal(shop.stock[0][0].reserve, 10);
    shop.account.unpaid = (struct order_unpaid){.orders = 10};
    decide_one(&orders[3]);
    assert_int_equal(orders[3].code, ERR_UNPAID_LIMIT);
    assert_string_equal(orders[3].error.fields[0].field, "lines");
    assert_string_equal(orders[3].error.fields[0].reason, "unpaid_orders: 10");
}

static void rejected_takes_nothing(void **state)
{
    (void)state;
    struct shop shop;
    shop_make(&shop, 5);
    struct checkout_line lines[3];
    line_make(&shop, &lines[0], 0, 2);
    line_make(&shop, &lines[1], 1, 11);
    line_make(&shop, &lines[2], 2, 1);
    lines[2].unit_price_minor = 1;
    struct checkout_order order = order_make(&shop, lines, 3, 0);
    decide_one(&order);
    assert_int_equal(order.outcome, CHECKOUT_REJECTED);
    assert_int_equal(order.code, ERR_CHECKOUT_REJECTED);
    assert_int_equal(order.error.field_count, 2); /* told line by line, all at once */
    assert_string_equal(order.error.fields[0].field, "lines[1].quantity");
    assert_string_equal(order.error.fields[0].reason, "out_of_stock: 10");
    assert_string_equal(order.error.fields[1].field, "lines[2].unit_price_minor");
    assert_string_equal(order.error.fields[1].reason, "price_changed: 3000");
    for (int v = 0; v < VARIANTS; v++)
        for (int l = 0; l < LOCATIONS; l++) {
            assert_int_equal(shop.stock[v][l].available, 5);
            assert_int_equal(shop.stock[v][l].reserve, 0);
        }
    assert_int_equal(shop.account.hold, 0);
}

static void last_unit_is_sold_once(void **state)
{
    (void)state;
    struct shop shop;
    shop_make(&shop, 0);
    shop.stock[0][1].available = 10;
    struct checkout_line lines[200];
    struct checkout_order orders[200], *batch[200];
    char keys[200][8];
    for (int i = 0; i < 200; i++) {
        line_make(&shop, &lines[i], 0, 1);
        orders[i] = order_make(&shop, &lines[i], 1, 0);
        orders[i].key = (struct str){keys[i], (size_t)snprintf(keys[i], sizeof keys[i], "%d", i)};
        batch[i] = &orders[i];
    }
    checkout_decide(batch, 200);
    for (int i = 0; i < 200; i++)
        assert_int_equal(orders[i].outcome, i < 10 ? CHECKOUT_ACCEPTED : CHECKOUT_REJECTED);
    assert_int_equal(shop.stock[0][1].reserve, 10);
}

static void points_are_spent_once(void **state)
{
    (void)state;
    struct shop shop;
    shop_make(&shop, 1000);
    struct checkout_line lines[50];
    struct checkout_order orders[50], *batch[50];
    for (int i = 0; i < 50; i++) {
        line_make(&shop, &lines[i], 3, 10); /* 40,000: 4,000 points */
        orders[i] = order_make(&shop, &lines[i], 1, 4000);
        batch[i] = &orders[i];
    }
    checkout_decide(batch, 50);
    int accepted = 0;
    for (int i = 0; i < 50; i++) {
        accepted += orders[i].outcome == CHECKOUT_ACCEPTED;
        if (i >= 2)
            assert_int_equal(orders[i].code, ERR_POINTS_SHORT);
    }
    assert_int_equal(accepted, 2);
    assert_int_equal(shop.account.available, 2000);
    assert_int_equal(shop.account.hold, 8000);
}

static void keys_settle(void **state)
{
    (void)state;
    struct shop shop;
    shop_make(&shop, 5);
    struct checkout_line line;
    line_make(&shop, &line, 0, 1);
    struct checkout_order order = order_make(&shop, &line, 1, 0);
    order.stored = (struct checkout_stored){.exists = true,
                                            .body_hash = STR("the hash of a bo")}; /* half of it is kept */
    decide_one(&order);
    assert_int_equal(order.outcome, CHECKOUT_REPLAYED);
    order.stored.body_hash = STR("the hash of anot");
    decide_one(&order);
    assert_int_equal(order.code, ERR_IDEMPOTENCY_MISMATCH);
    order.stored.exists = false;
    order.key_in_batch = true;
    decide_one(&order);
    assert_int_equal(order.code, ERR_IDEMPOTENCY_IN_FLIGHT);
    assert_int_equal(shop.stock[0][0].available, 5);
}

static void carts_are_spent_once(void **state)
{
    (void)state;
    struct shop shop;
    shop_make(&shop, 5);
    struct checkout_line lines[3];
    struct checkout_order orders[3], *batch[3];
    for (int i = 0; i < 3; i++) {
        line_make(&shop, &lines[i], 0, 1);
        orders[i] = order_make(&shop, &lines[i], 1, 0);
        orders[i].has_cart = true;
        orders[i].cart = &shop.cart;
        orders[i].cart_version = i == 0 ? 2 : 3;
        batch[i] = &orders[i];
    }
    checkout_decide(batch, 3);
    assert_string_equal(orders[0].error.fields[0].reason, "cart_changed");
    assert_int_equal(orders[1].outcome, CHECKOUT_ACCEPTED);
    assert_string_equal(orders[2].error.fields[0].reason, "cart_spent");
}

static void what_cannot_be_had_is_told(void **state)
{
    (void)state;
    struct shop shop;
    shop_make(&shop, 5);
    struct checkout_line lines[5];
    for (int i = 0; i < 4; i++)
        line_make(&shop, &lines[i], i, 1);
    line_make(&shop, &lines[4], 0, 1);
    lines[1].variant = NULL;
    shop.variants[2].for_sale = false;
    shop.variants[3].has_price = false;
    struct checkout_order order = order_make(&shop, lines, 5, 0);
    decide_one(&order);
    assert_int_equal(order.error.field_count, 4);
    assert_string_equal(order.error.fields[0].reason, "not_found");
    assert_string_equal(order.error.fields[1].reason, "not_for_sale");
    assert_string_equal(order.error.fields[2].reason, "no_price_in_currency");
    assert_string_equal(order.error.fields[3].reason, "stands_twice");
    order.policy = NULL;
    decide_one(&order);
    assert_string_equal(order.error.fields[0].reason, "not_sold_in");
}

/* Random batches: stock and points never go below zero, and what the accepted orders took is what is missing.
 */
static void nothing_is_lost_in_random_batches(void **state)
{
    (void)state;
    srandom(7);
    for (int round = 0; round < 2000; round++) {
        struct shop shop;
        shop_make(&shop, (int32_t)(random() % 20));
        int64_t before = 0, after = 0, taken = 0, points = 0;
        for (int v = 0; v < VARIANTS; v++)
            before += shop.stock[v][0].available + shop.stock[v][1].available;
        struct checkout_line lines[30][2];
        struct checkout_order orders[30], *batch[30];
        for (int i = 0; i < 30; i++) {
            int first = (int)(random() % VARIANTS);
            line_make(&shop, &lines[i][0], first, (int32_t)(1 + random() % 6));
            line_make(&shop, &lines[i][1], (int)((first + 1) % VARIANTS), (int32_t)(1 + random() % 6));
            orders[i] = order_make(&shop, lines[i], (size_t)(1 + random() % 2), random() % 4 * 100);
            batch[i] = &orders[i];
        }
        checkout_decide(batch, 30);
        for (int i = 0; i < 30; i++) {
            if (orders[i].outcome != CHECKOUT_ACCEPTED)
                continue;
            points += orders[i].points;
            for (size_t l = 0; l < orders[i].line_count; l++) {
                int32_t parts = 0;
                for (size_t p = 0; p < lines[i][l].part_count; p++)
                    parts += lines[i][l].parts[p].quantity;
                assert_int_equal(parts, lines[i][l].quantity);
                taken += parts;
            }
            assert_int_equal(orders[i].cash_minor + orders[i].points_value_minor, orders[i].subtotal_minor);
        }
        int64_t reserve = 0;
        for (int v = 0; v < VARIANTS; v++)
            for (int l = 0; l < LOCATIONS; l++) {
                assert_true(shop.stock[v][l].available >= 0);
                after += shop.stock[v][l].available;
                reserve += shop.stock[v][l].reserve;
            }
        assert_int_equal(before - after, taken);
        assert_int_equal(reserve, taken);
        assert_int_equal(shop.account.hold, points);
        assert_int_equal(shop.account.available + points, 10000);
    }
}

static struct checkout_sale sale_make(struct shop *shop, int32_t quantity, int32_t per_customer)
{
    return (struct checkout_sale){
        .sale = {.variant_id = shop->variants[0].variant_id,
                 .currency = {"HKD"},
                 .price_minor = 400,
                 .quantity = quantity,
                 .per_customer = per_customer,
                 .starts_at_us = 100,
                 .ends_at_us = 200},
        .exists = true,
    };
}

static struct checkout_order sale_order_make(struct shop *shop, struct checkout_line *line, int32_t quantity,
                                             struct checkout_sale *sale,
                                             struct checkout_sale_customer *customer)
{
    line_make(shop, line, 0, quantity);
    line->unit_price_minor = 0; /* nobody asks the shopper for it */
    struct checkout_order order = order_make(shop, line, 1, 0);
    order.of_sale = true;
    order.sale = sale;
    order.sale_customer = customer;
    order.placed_at_us = 150;
    return order;
}

/* INV-6: orders of one batch see what those before them took. */
static void sale_takes_to_the_last_unit(void **state)
{
    (void)state;
    struct shop shop;
    shop_make(&shop, 50);
    shop.variants[0].has_price = false; /* the sale's is enough */
    struct checkout_sale sale = sale_make(&shop, 5, 2);
    struct checkout_sale_customer customers[4] = {{.taken = 1}};
    struct checkout_line lines[5];
    struct checkout_order orders[5];
    int32_t wants[] = {2, 2, 2, 2, 1};
    enum error_code expected[] = {ERR_SALE_LIMIT, ERR_OK, ERR_OK, ERR_SALE_SOLD_OUT, ERR_OK};
    struct checkout_order *list[5];
    for (int i = 0; i < 5; i++) {
        orders[i] = sale_order_make(&shop, &lines[i], wants[i], &sale, &customers[i % 4]);
        list[i] = &orders[i];
    }
    checkout_decide(list, 5);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(orders[i].outcome, expected[i] ? CHECKOUT_REJECTED : CHECKOUT_ACCEPTED);
        assert_int_equal(orders[i].code, expected[i]);
    }
    assert_int_equal(orders[1].subtotal_minor, 800);
    assert_int_equal(lines[1].price_minor, 400);
    assert_int_equal(sale.sale.sold, 5);
    assert_int_equal(customers[0].take, 1);
    assert_int_equal(customers[0].taken, 2);
    assert_int_equal(customers[3].take, 0);
    assert_int_equal(shop.stock[0][0].reserve, 5);
}

/* INV-6 INV-2 */
static void sale_needs_its_time_and_stock(void **state)
{
    (void)state;
    struct shop shop;
    shop_make(&shop, 1);
    struct checkout_sale sale = sale_make(&shop, 50, 5);
    struct checkout_sale_customer customer = {.taken = 0};
    struct checkout_line line;
    struct checkout_order order = sale_order_make(&shop, &line, 1, &sale, &customer);
    order.placed_at_us = 99;
    decide_one(&order);
    assert_int_equal(order.code, ERR_SALE_NOT_OPEN);
    order = sale_order_make(&shop, &line, 1, &sale, &customer);
    order.placed_at_us = 200;
    decide_one(&order);
    assert_int_equal(order.code, ERR_SALE_ENDED);
    order = sale_order_make(&shop, &line, 3, &sale, &customer); /* two are in stock */
    decide_one(&order);
    assert_int_equal(order.code, ERR_CHECKOUT_REJECTED);
    assert_int_equal(sale.sale.sold, 0);
    assert_int_equal(customer.taken, 0);
    sale.exists = false;
    order = sale_order_make(&shop, &line, 1, &sale, &customer);
    decide_one(&order);
    assert_int_equal(order.code, ERR_NOT_FOUND);
}

/* Lines that are each within the contract: what is more than an order may total is told by its line, and
 * nothing is taken. */
static void lines_beyond_the_limit_of_an_order_are_refused(void **state)
{
    (void)state;
    struct shop shop;
    static const int64_t prices[] = {1,        99999999, 100000000000, ORDER_TOTAL_MINOR_MAX, MONEY_MINOR_MAX,
                                     INT64_MAX};
    static const int32_t quantities[] = {1, 10, 11, 999};
    for (size_t p = 0; p < sizeof prices / sizeof *prices; p++)
        for (size_t q = 0; q < sizeof quantities / sizeof *quantities; q++)
            for (size_t count = 1; count <= VARIANTS; count++) {
                shop_make(&shop, 1000);
                shop.policy.earn_points = 1000;
                shop.policy.earn_minor = 1;
                struct checkout_line lines[VARIANTS];
                for (size_t i = 0; i < count; i++) {
                    shop.variants[i].price_minor = prices[p];
                    line_make(&shop, &lines[i], (int)i, quantities[q]);
                }
                struct checkout_order order = order_make(&shop, lines, count, 0);
                decide_one(&order);
                __int128 total = (__int128)prices[p] * quantities[q] * (__int128)count;
                assert_int_equal(order.outcome,
                                 total <= ORDER_TOTAL_MINOR_MAX ? CHECKOUT_ACCEPTED : CHECKOUT_REJECTED);
                if (order.outcome == CHECKOUT_ACCEPTED) {
                    assert_true(order.subtotal_minor == (int64_t)total && order.earn_points <= POINTS_MAX);
                    continue;
                }
                assert_int_equal(order.error.field_count, 1);
                assert_string_equal(order.error.fields[0].reason, "above_order_limit: 1000000000000");
                for (size_t i = 0; i < count; i++)
                    assert_int_equal(shop.stock[i][0].reserve + shop.stock[i][1].reserve, 0);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepted_whole),
        cmocka_unit_test(waits_for_payment_within_bounds),
        cmocka_unit_test(rejected_takes_nothing),
        cmocka_unit_test(last_unit_is_sold_once),
        cmocka_unit_test(points_are_spent_once),
        cmocka_unit_test(keys_settle),
        cmocka_unit_test(carts_are_spent_once),
        cmocka_unit_test(what_cannot_be_had_is_told),
        cmocka_unit_test(nothing_is_lost_in_random_batches),
        cmocka_unit_test(sale_takes_to_the_last_unit),
        cmocka_unit_test(sale_needs_its_time_and_stock),
        cmocka_unit_test(lines_beyond_the_limit_of_an_order_are_refused),
    };
    return cmocka_run_group_tests_name("checkout decide", tests, NULL, NULL);
}
