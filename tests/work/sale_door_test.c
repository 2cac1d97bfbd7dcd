/* A crowd before the door of a flash sale: board, counters and door under many threads, while the sale sells
 * out and reopens and Redis is flushed and killed. What is asserted is that everybody gets one answer; who
 * gets which is for the engine's tests. Run under ThreadSanitizer too. */
#include "fixture.h"

#include "base/check.h"
#include "base/clock.h"
#include "shop/sale/sale.h"

#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>

#define LOOPS 4
#define ASKED_BY_EACH 1500
#define QUANTITY 200

static struct sale_id sale_id;
static struct user_id winner;
static _Atomic int64_t asked, let_in, refused, refused_at_once, overloaded;
static _Atomic bool over;

static void decided(struct sale_admission *admission, enum error_code code)
{
    if (code) {
        atomic_fetch_add(&refused, 1);
    } else {
        atomic_fetch_add(&let_in, 1);
        if (admission->counted)
            sale_admission_give_back(admission); /* no order comes of it */
    }
    free(admission);
}

static void ask(struct user_id customer, struct str key)
{
    struct sale_admission *admission = calloc(1, sizeof *admission);
    CHECK(admission);
    *admission = (struct sale_admission){
        .sale_id = sale_id, .customer_id = customer, .quantity = 1, .decided = decided};
    sale_admission_key(customer, key, admission->key);
    struct error error = {.code = ERR_OK};
    enum error_code code = sale_refused_at_once(sale_id, admission->key, &error);
    atomic_fetch_add(&asked, 1);
    if (!code)
        code = sale_admission_ask(admission);
    if (!code)
        return;
    atomic_fetch_add(code == ERR_OVERLOADED ? &overloaded : &refused_at_once, 1);
    free(admission);
}

static void *loop_main(void *argument)
{
    (void)argument;
    for (int i = 0; i < ASKED_BY_EACH; i++) {
        ask((struct user_id){uuid_new()}, STR("key"));
        if (i % 50 == 0)
            fixture_sleep_ms(10); /* pictures change meanwhile */
    }
    return NULL;
}

static void *news_main(void *argument)
{
    (void)argument;
    while (!atomic_load(&over)) {
        sale_invalidate(STR("sale"), sale_id.uuid);
        fixture_sleep_ms(5);
    }
    return NULL;
}

static void make_sale(void)
{
    char hex[33] = "", customer[33] = "", key_hex[2 * SALE_KEY_BYTES + 1];
    uint8_t key[SALE_KEY_BYTES];
    sale_id = sale_id_new();
    winner = (struct user_id){uuid_new()};
    uuid_hex(sale_id.uuid, hex);
    uuid_hex(winner.uuid, customer);
    sale_admission_key(winner, STR("won"), key);
    sodium_bin2hex(key_hex, sizeof key_hex, key, sizeof key);
    fixture_execute("ALTER TABLE sale DROP CONSTRAINT IF EXISTS sale_variant_id_fkey");
    fixture_execute("INSERT INTO sale (id, variant_id, currency, price_minor, quantity, sold, per_customer, "
                    "starts_at, ends_at, created_by) VALUES ('%s', gen_random_uuid(), 'HKD', 100, %d, 1, 1, "
                    "now() - interval '1 s', now() + interval '1 hour', gen_random_uuid())",
                    hex, QUANTITY);
    fixture_execute("INSERT INTO sale_claim (order_id, sale_id, customer_id, quantity, key) VALUES "
                    "(gen_random_uuid(), '%s', '%s', 1, '\\x%s')",
                    hex, customer, key_hex);
}

static void set_sold(int sold)
{
    fixture_execute("UPDATE sale SET sold = %d, version = version + 1", sold);
}

static bool refuses(struct user_id customer, const char *key_text)
{
    uint8_t key[SALE_KEY_BYTES];
    struct error error = {.code = ERR_OK};
    sale_admission_key(customer, str_from(key_text), key);
    enum error_code code = sale_refused_at_once(sale_id, key, &error);
    assert_true(code == ERR_OK || code == ERR_SALE_SOLD_OUT);
    return code != ERR_OK;
}

static void wait_until_refused(bool wanted)
{
    struct user_id stranger = {uuid_new()};
    for (int ms = 0; refuses(stranger, "key") != wanted; ms += 10) {
        assert_true(ms < WAIT_MS);
        fixture_sleep_ms(10);
    }
}

static void everybody_gets_one_answer(void **state)
{
    (void)state;
    struct error error = {.code = ERR_OK};
    pthread_t loops[LOOPS], news;
    make_sale();
    assert_int_equal(sale_start(config()->database_url, config()->redis_url, &error), ERR_OK);
    for (int i = 0; i < LOOPS; i++)
        CHECK(pthread_create(&loops[i], NULL, loop_main, NULL) == 0);
    CHECK(pthread_create(&news, NULL, news_main, NULL) == 0);
    for (int round = 0; round < 3; round++) {
        set_sold(QUANTITY);
        fixture_sleep_ms(60);
        fixture_redis_flush();
        set_sold(1);
        fixture_sleep_ms(60);
        fixture_redis_stop();
        fixture_sleep_ms(30);
        fixture_redis_start();
    }
    for (int i = 0; i < LOOPS; i++)
        pthread_join(loops[i], NULL);
    atomic_store(&over, true);
    pthread_join(news, NULL);
    sale_stop(); /* decides what waits */
    assert_int_equal(asked, LOOPS * ASKED_BY_EACH);
    assert_int_equal(let_in + refused + refused_at_once + overloaded, asked);
    assert_true(let_in > 0);
}

/* The board refuses strangers when nothing is left, and nobody whose purchase was made. */
static void purchases_pass_the_board(void **state)
{
    (void)state;
    struct error error = {.code = ERR_OK};
    set_sold(QUANTITY);
    assert_int_equal(sale_start(config()->database_url, config()->redis_url, &error), ERR_OK);
    wait_until_refused(true);
    assert_false(refuses(winner, "won"));
    assert_true(refuses(winner, "other"));
    assert_true(refuses((struct user_id){uuid_new()}, "won"));
    fixture_execute("UPDATE sale SET sold = 1, version = version + 1, reopens_at = now() + interval '1 s'");
    sale_invalidate(STR("sale"), sale_id.uuid);
    fixture_sleep_ms(300);
    assert_true(refuses((struct user_id){uuid_new()}, "key")); /* sold out for a while */
    wait_until_refused(false);
    sale_stop();
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(everybody_gets_one_answer),
        FIXTURE_TEST(purchases_pass_the_board),
    };
    return fixture_main(argc, argv, "sale_door", tests, sizeof tests / sizeof tests[0]);
}
