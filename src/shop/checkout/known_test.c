/* What a process knows of goods: found as kept, until its time is over, and bounded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "shop/checkout/known.h"

static const struct currency HKD = {"HKD"}, USD = {"USD"};

static struct goods made(struct variant_id id, struct currency currency, int32_t number)
{
    static const struct uuid path[2] = {{{1}}, {{2}}};
    return (struct goods){.variant = {.variant_id = id,
                                      .currency = currency,
                                      .sku = STR("SKU-1"),
                                      .title = STR("A shirt"),
                                      .price_minor = 100 + number,
                                      .category_path = {path, 2}},
                          .number = number,
                          .good_until_us = 1000};
}

static void found_as_kept(void **state)
{
    (void)state;
    struct arena *arena = arena_new();
    struct variant_id id = variant_id_new();
    struct goods kept = made(id, HKD, 1), dollars = made(id, USD, 2), found;
    assert_false(known_goods_find(id, HKD, 0, arena, &found));
    known_goods_keep(&kept);
    known_goods_keep(&dollars);
    assert_true(known_goods_find(id, HKD, 999, arena, &found));
    assert_int_equal(found.variant.price_minor, 101);
    assert_true(str_equal(found.variant.title, STR("A shirt")));
    assert_true(str_equal(found.variant.sku, STR("SKU-1")));
    assert_int_equal(found.variant.category_path.count, 2);
    assert_int_equal(found.variant.category_path.items[1].bytes[0], 2);
    assert_false(known_goods_find(id, HKD, 1000, arena, &found)); /* its price has ended */
    kept.number = 7;
    known_goods_keep(&kept);
    assert_true(known_goods_find(id, HKD, 0, arena, &found));
    assert_int_equal(found.number, 7);
    known_goods_drop(id, HKD);
    assert_false(known_goods_find(id, HKD, 0, arena, &found));
    assert_true(known_goods_find(id, USD, 0, arena, &found));
    known_goods_drop(id, USD);
    arena_free(arena);
}

static void the_oldest_makes_room(void **state)
{
    (void)state;
    struct arena *arena = arena_new();
    struct goods found;
    struct variant_id first = variant_id_new(), last = first;
    struct goods goods = made(first, HKD, 1);
    known_goods_keep(&goods);
    /* So many that its row, whichever it is, is full several times over. */
    for (size_t i = 0; i < 6 * (size_t)KNOWN_GOODS_MAX; i++) {
        last = variant_id_new();
        goods = made(last, HKD, 1);
        known_goods_keep(&goods);
    }
    assert_true(known_goods_find(last, HKD, 0, arena, &found));
    assert_false(known_goods_find(first, HKD, 0, arena, &found));
    arena_free(arena);
}

static void rules_of_one_version(void **state)
{
    (void)state;
    struct arena *arena = arena_new();
    struct uuid category = uuid_new();
    struct miles_policy policies[2] = {{.version = 3, .currency = HKD, .excluded_categories = {&category, 1}},
                                       {.version = 3, .currency = USD}};
    struct miles_policy *found;
    size_t count;
    assert_false(known_rules_find(3, arena, &found, &count));
    known_rules_keep(policies, 2);
    assert_true(known_rules_find(3, arena, &found, &count));
    assert_int_equal(count, 2);
    assert_true(uuid_equal(found[0].excluded_categories.items[0], category));
    assert_false(known_rules_find(4, arena, &found, &count));
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(found_as_kept),
        cmocka_unit_test(the_oldest_makes_room),
        cmocka_unit_test(rules_of_one_version),
    };
    return cmocka_run_group_tests_name("checkout known", tests, NULL, NULL);
}
