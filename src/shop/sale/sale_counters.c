/* What Redis holds of a sale: how many are left, what each customer has taken, and the keys of those who were
 * let in, so that a retry is let in again without being counted. One script call serves a batch of buyers of
 * one sale: they are handed over as one text of fixed-width records and come back as one letter each.
 *
 * The numbers are a copy and may be wrong in both directions: too low while orders are under way or after a
 * crash, too high after a reload. The engine has the last word; the board reloads what stays wrong. */
#include "base/check.h"
#include "sale_sql.h"
#include "shop/sale/sale_internal.h"

#include <stdio.h>

#define KEY_TEXT_MAX 64
/* After the last purchase. */
#define KEEP_MS (8 * 24 * 3600 * 1000LL)
#define TOTAL_RECORD_BYTES (16 + 3)

static struct redis_script admit_script = {
    .text = "local s = redis.call('HMGET', KEYS[1], 'left', 'most', 'starts', 'ends')\n"
            "if not s[1] then return '?' end\n"
            "local left, most = tonumber(s[1]), tonumber(s[2])\n"
            "local t = redis.call('TIME')\n"
            "local now = t[1] * 1000000 + t[2]\n"
            "local early, over = now < tonumber(s[3]), now >= tonumber(s[4])\n"
            "local said, admitted = {}, 0\n"
            "for at = 1, #ARGV[1], 35 do\n"
            "  local customer = string.sub(ARGV[1], at, at + 15)\n"
            "  local key = string.sub(ARGV[1], at + 16, at + 31)\n"
            "  local n = tonumber(string.sub(ARGV[1], at + 32, at + 34))\n"
            "  local verdict\n"
            "  if redis.call('HEXISTS', KEYS[3], key) == 1 then verdict = 'K'\n"
            "  elseif early then verdict = 'N'\n"
            "  elseif over then verdict = 'E'\n"
            "  elseif left - admitted < n then verdict = 'S'\n"
            "  elseif tonumber(redis.call('HGET', KEYS[2], customer) or 0) + n > most then verdict = 'L'\n"
            "  else\n"
            "    redis.call('HINCRBY', KEYS[2], customer, n)\n"
            "    redis.call('HSET', KEYS[3], key, n)\n"
            "    admitted = admitted + n\n"
            "    verdict = 'A'\n"
            "  end\n"
            "  said[#said + 1] = verdict\n"
            "end\n"
            "if admitted > 0 then\n"
            "  redis.call('HINCRBY', KEYS[1], 'left', -admitted)\n"
            "  redis.call('PEXPIRE', KEYS[2], ARGV[2])\n"
            "  redis.call('PEXPIRE', KEYS[3], ARGV[2])\n"
            "  redis.call('PEXPIRE', KEYS[1], ARGV[2])\n"
            "end\n"
            "return table.concat(said)\n",
};

/* A key that is not there was forgotten by a reload: there is nothing to give back. */
static struct redis_script give_back_script = {
    .text = "local quantity = tonumber(redis.call('HGET', KEYS[1], 'quantity') or 0)\n"
            "if quantity == 0 then return 0 end\n"
            "local left = tonumber(redis.call('HGET', KEYS[1], 'left'))\n"
            "for at = 1, #ARGV[1], 35 do\n"
            "  local customer = string.sub(ARGV[1], at, at + 15)\n"
            "  local n = tonumber(string.sub(ARGV[1], at + 32, at + 34))\n"
            "  if redis.call('HDEL', KEYS[3], string.sub(ARGV[1], at + 16, at + 31)) == 1 then\n"
            "    left = math.min(left + n, quantity)\n"
            "    if redis.call('HINCRBY', KEYS[2], customer, -n) <= 0 then redis.call('HDEL', KEYS[2], "
            "customer) end\n"
            "  end\n"
            "end\n"
            "redis.call('HSET', KEYS[1], 'left', left)\n"
            "return 1\n",
};

static struct redis_script load_script = {
    .text =
        "redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])\n"
        "for at = 1, #ARGV[7], 19 do\n"
        "  redis.call('HSET', KEYS[2], string.sub(ARGV[7], at, at + 15), tonumber(string.sub(ARGV[7], at + "
        "16, at + 18)))\n"
        "end\n"
        "for at = 1, #ARGV[8], 16 do redis.call('HSET', KEYS[3], string.sub(ARGV[8], at, at + 15), 0) end\n"
        "redis.call('HSET', KEYS[1], 'left', ARGV[1], 'most', ARGV[2], 'starts', ARGV[3], 'ends', ARGV[4], "
        "'quantity', ARGV[5])\n"
        "for i = 1, 3 do redis.call('PEXPIRE', KEYS[i], ARGV[6]) end\n"
        "return 1\n",
};

_Static_assert(SALE_RECORD_BYTES == 35, "the scripts read records of that width");

struct keys {
    char texts[3][KEY_TEXT_MAX];
    struct str names[3];
};

/* The braces keep the three on one node of a cluster. */
static void name_keys(struct sale_id sale_id, struct keys *keys)
{
    static const char *const parts[] = {"", ":customers", ":keys"};
    char hex[32];
    uuid_hex(sale_id.uuid, hex);
    for (int i = 0; i < 3; i++) {
        int len = snprintf(keys->texts[i], KEY_TEXT_MAX, "cathay:sale:{%.32s}%s", hex, parts[i]);
        keys->names[i] = (struct str){keys->texts[i], (size_t)len};
    }
}

void sale_record_write(const struct sale_admission *admission, char record[SALE_RECORD_BYTES])
{
    char digits[12];
    CHECK(admission->quantity > 0 && admission->quantity <= SALE_PER_CUSTOMER_MAX);
    snprintf(digits, sizeof digits, "%03d", admission->quantity);
    memcpy(record, admission->customer_id.uuid.bytes, 16);
    memcpy(record + 16, admission->key, SALE_KEY_BYTES);
    memcpy(record + 16 + SALE_KEY_BYTES, digits, 3);
}

static struct str number(struct arena *arena, int64_t value)
{
    return arena_printf(arena, "%lld", (long long)value);
}

enum sale_counted sale_counters_admit(struct redis *redis, struct sale_id sale_id, const char *records,
                                      size_t count, char *verdicts)
{
    struct keys keys;
    name_keys(sale_id, &keys);
    char keep[24];
    snprintf(keep, sizeof keep, "%lld", KEEP_MS);
    struct str args[] = {
        keys.names[0], keys.names[1], keys.names[2], {records, count * SALE_RECORD_BYTES}, str_from(keep)};
    redisReply *reply = redis_script_run(redis, &admit_script, 3, 5, args);
    struct str said = redis_reply_str(reply);
    enum sale_counted result = SALE_COUNTERS_AWAY;
    if (str_equal(said, STR("?"))) {
        result = SALE_COUNTERS_EMPTY;
    } else if (said.ptr && said.len == count) {
        memcpy(verdicts, said.ptr, count);
        result = SALE_COUNTED;
    }
    freeReplyObject(reply);
    return result;
}

void sale_counters_give_back(struct redis *redis, struct sale_id sale_id, const char *records, size_t count)
{
    struct keys keys;
    name_keys(sale_id, &keys);
    struct str args[] = {keys.names[0], keys.names[1], keys.names[2], {records, count * SALE_RECORD_BYTES}};
    freeReplyObject(redis_script_run(redis, &give_back_script, 3, 4, args));
}

enum error_code sale_counters_load(struct redis *redis, struct pg *db, struct arena *arena,
                                   const struct sale *sale)
{
    struct sale_customer_list_rows customers;
    struct sale_claim_keys_rows claims;
    struct sale_find_batch_rows now;
    enum error_code code = sale_find_batch(db, arena, (struct sale_find_batch_args){{&sale->id, 1}}, &now);
    if (!code)
        code = sale_customer_list(db, arena, (struct sale_customer_list_args){sale->id}, &customers);
    if (!code)
        code = sale_claim_keys(db, arena, (struct sale_claim_keys_args){sale->id}, &claims);
    if (code || now.count == 0)
        return code;
    char *taken = arena_alloc(arena, customers.count * TOTAL_RECORD_BYTES + 1);
    for (size_t i = 0; i < customers.count; i++) {
        char digits[12];
        snprintf(digits, sizeof digits, "%03d", customers.items[i].quantity);
        memcpy(taken + i * TOTAL_RECORD_BYTES, customers.items[i].customer_id.uuid.bytes, 16);
        memcpy(taken + i * TOTAL_RECORD_BYTES + 16, digits, 3);
    }
    char *known = arena_alloc(arena, claims.count * SALE_KEY_BYTES + 1);
    for (size_t i = 0; i < claims.count; i++) {
        CHECK(claims.items[i].key.len == SALE_KEY_BYTES);
        memcpy(known + i * SALE_KEY_BYTES, claims.items[i].key.ptr, SALE_KEY_BYTES);
    }
    const struct sale_find_batch_row *row = &now.items[0];
    struct keys keys;
    name_keys(sale->id, &keys);
    struct str args[] = {
        keys.names[0],
        keys.names[1],
        keys.names[2],
        number(arena, row->quantity - row->sold),
        number(arena, row->per_customer),
        number(arena, row->starts_at),
        number(arena, row->cancelled ? row->starts_at : row->ends_at),
        number(arena, row->quantity),
        number(arena, KEEP_MS),
        {taken, customers.count * TOTAL_RECORD_BYTES},
        {known, claims.count * SALE_KEY_BYTES},
    };
    freeReplyObject(redis_script_run(redis, &load_script, 3, sizeof args / sizeof *args, args));
    sale_count_reload();
    return ERR_OK;
}

bool sale_counters_left(struct redis *redis, struct sale_id sale_id, int64_t *left, bool *away)
{
    struct keys keys;
    name_keys(sale_id, &keys);
    redisReply *reply = REDIS_CALL(redis, STR("HGET"), keys.names[0], STR("left"));
    *away = !reply;
    bool known = str_to_int64(redis_reply_str(reply), left);
    freeReplyObject(reply);
    return known;
}
