/* Stamps, as in the process' own cache. One hash in Redis, "cache:stamps", holds a count of invalidations
 * (`sequence`), the count at which everything was invalidated (`floor`), and for each of some slots of a
 * kind, chosen by hash from the id, the count at the last invalidation that touched it ("product:4711"; any
 * change of the kind "product:any", all of it at once "product:all"). Who computes a value asks for
 * the count first and stores the value with it; a value is good while neither the floor nor a slot of its
 * tags is greater. Both storing and finding check that in one script, so it does not matter what happens in
 * between. Two tags that share a slot cost a needless computation, never a wrong answer.
 *
 * All stamps are one key and have no time to live: they are lost together or not at all. A new count begins
 * at Redis' clock in microseconds, and so does its floor, so that nothing that was begun with an older count
 * is accepted or, should it have survived, found.
 *
 * While this process had no Redis the message of a change may have been lost with the connection, and old
 * values may have survived: the first thing after that is to invalidate everything. */
#include "redis/shared_cache.h"

#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#define STAMPS_KEY "cache:stamps"
#define SLOTS 65536
#define SLOT_TEXT_MAX 88 /* a kind, a colon, a number */
#define KEY_MAX 256

#define SEED                                                                                                 \
    "local function seed()\n"                                                                                \
    "  local t = redis.call('TIME')\n"                                                                       \
    "  local text = string.format('%.0f', t[1] * 1000000 + t[2])\n"                                          \
    "  redis.call('HSET', 'cache:stamps', 'sequence', text, 'floor', text)\n"                                \
    "  return text\n"                                                                                        \
    "end\n"
/* Does anything that `slots` names, or the floor, lie beyond the stamp? */
#define CHANGED                                                                                              \
    "local function changed(stamp, slots)\n"                                                                 \
    "  local names = {'floor'}\n"                                                                            \
    "  for slot in string.gmatch(slots, '%S+') do names[#names + 1] = slot end\n"                            \
    "  for i, at in ipairs(redis.call('HMGET', 'cache:stamps', unpack(names))) do\n"                         \
    "    if at and tonumber(at) > stamp or i == 1 and not at then return true end\n"                         \
    "  end\n"                                                                                                \
    "  return false\n"                                                                                       \
    "end\n"

/* KEYS: the entry, the stamps. {1, time to live in ms, value} or {0, stamp}. */
static struct redis_script find_script = {
    .text = SEED CHANGED
    "local sequence = redis.call('HGET', KEYS[2], 'sequence')\n"
    "if not sequence then return {0, seed()} end\n"
    "local entry = redis.call('HMGET', KEYS[1], 'stamp', 'slots', 'value')\n"
    "if entry[1] and entry[2] and entry[3] and not changed(tonumber(entry[1]), entry[2]) then\n"
    "  return {1, redis.call('PTTL', KEYS[1]), entry[3]}\n"
    "end\n"
    "return {0, sequence}\n"};

/* ARGV: stamp, slots, value, time to live in ms. A younger value is not replaced by an older one. */
static struct redis_script store_script = {
    .text = CHANGED "local stamp = tonumber(ARGV[1])\n"
                    "local present = redis.call('HGET', KEYS[1], 'stamp')\n"
                    "if changed(stamp, ARGV[2]) or present and tonumber(present) > stamp then return 0 end\n"
                    "redis.call('HSET', KEYS[1], 'stamp', ARGV[1], 'slots', ARGV[2], 'value', ARGV[3])\n"
                    "redis.call('PEXPIRE', KEYS[1], ARGV[4])\n"
                    "return 1\n"};

/* KEYS: the stamps. ARGV: names of what gets the new stamp, channel or nothing, message. */
static struct redis_script invalidate_script = {
    .text = SEED "if redis.call('HEXISTS', KEYS[1], 'sequence') == 0 then seed() end\n"
                 "local at = string.format('%.0f', redis.call('HINCRBY', KEYS[1], 'sequence', 1))\n"
                 "local pairs = {}\n"
                 "for slot in string.gmatch(ARGV[1], '%S+') do\n"
                 "  pairs[#pairs + 1] = slot\n"
                 "  pairs[#pairs + 1] = at\n"
                 "end\n"
                 "redis.call('HSET', KEYS[1], unpack(pairs))\n"
                 "if ARGV[2] ~= '' then redis.call('PUBLISH', ARGV[2], ARGV[3]) end\n"
                 "return 1\n"};

struct shared_cache {
    struct redis *redis;
    int64_t epoch; /* of the last use; 0: none yet */
    bool missed;
};

struct shared_cache *shared_cache_new(const char *redis_url)
{
    struct shared_cache *cache = calloc(1, sizeof *cache);
    CHECK(cache);
    cache->redis = redis_new(redis_url);
    return cache;
}

void shared_cache_free(struct shared_cache *cache)
{
    if (!cache)
        return;
    redis_free(cache->redis);
    free(cache);
}

/* The text is the same in every process and version. */
static struct str slot_thing(struct str kind, struct uuid id, char text[SLOT_TEXT_MAX])
{
    unsigned slot = (unsigned)(XXH3_64bits(id.bytes, sizeof id.bytes) % SLOTS);
    int len = snprintf(text, SLOT_TEXT_MAX, "%.*s:%u", STR_ARG(kind), slot);
    CHECK(len > 0 && len < SLOT_TEXT_MAX);
    return (struct str){text, (size_t)len};
}

static struct str entry_key(struct str key, char text[KEY_MAX])
{
    int len = snprintf(text, KEY_MAX, "cache:%.*s", STR_ARG(key));
    CHECK(len > 0 && len < KEY_MAX);
    return (struct str){text, (size_t)len};
}

/* False: away. */
static bool be_current(struct shared_cache *cache)
{
    if (!redis_connected(cache->redis)) {
        cache->missed = true;
        return false;
    }
    int64_t epoch = redis_epoch(cache->redis);
    if (cache->missed || (cache->epoch && cache->epoch != epoch)) {
        struct str args[] = {STR(STAMPS_KEY), STR("floor"), STR(""), STR("")};
        redisReply *reply = redis_script_run(cache->redis, &invalidate_script, 1, 4, args);
        bool done = reply && reply->type == REDIS_REPLY_INTEGER;
        freeReplyObject(reply);
        if (!done) {
            cache->missed = true;
            return false;
        }
    }
    cache->missed = false;
    cache->epoch = redis_epoch(cache->redis);
    return true;
}

enum shared_cache_outcome shared_cache_find(struct shared_cache *cache, struct str key, redisReply **reply,
                                            struct str *value, int64_t *ttl_ms, int64_t *stamp)
{
    char text[KEY_MAX];
    struct str args[] = {entry_key(key, text), STR(STAMPS_KEY)};
    *reply = NULL;
    if (!be_current(cache))
        return SHARED_CACHE_AWAY;
    redisReply *said = redis_script_run(cache->redis, &find_script, 2, 2, args);
    bool array = said && said->type == REDIS_REPLY_ARRAY && said->elements >= 2 &&
                 said->element[0]->type == REDIS_REPLY_INTEGER;
    if (array && said->element[0]->integer == 1 && said->elements == 3 &&
        said->element[1]->type == REDIS_REPLY_INTEGER && said->element[1]->integer > 0) {
        *reply = said;
        *ttl_ms = said->element[1]->integer;
        *value = redis_reply_str(said->element[2]);
        return SHARED_CACHE_HIT;
    }
    bool missed =
        array && said->element[0]->integer == 0 && str_to_int64(redis_reply_str(said->element[1]), stamp);
    cache->missed |= !said;
    freeReplyObject(said);
    return missed ? SHARED_CACHE_MISS : SHARED_CACHE_AWAY;
}

bool shared_cache_store(struct shared_cache *cache, struct str key, int64_t stamp, struct str value,
                        const struct shared_cache_tag *tags, size_t tag_count, int64_t ttl_ms)
{
    CHECK(tag_count <= SHARED_CACHE_TAGS_MAX);
    char text[KEY_MAX], slots[SHARED_CACHE_TAGS_MAX * 2 * SLOT_TEXT_MAX], name[SLOT_TEXT_MAX];
    size_t len = 0;
    for (size_t i = 0; i < tag_count; i++) {
        struct str kind = tags[i].kind;
        if (uuid_is_zero(tags[i].id))
            len += (size_t)snprintf(slots + len, sizeof slots - len, "%.*s:any ", STR_ARG(kind));
        else
            len += (size_t)snprintf(slots + len, sizeof slots - len, "%.*s %.*s:all ",
                                    STR_ARG(slot_thing(kind, tags[i].id, name)), STR_ARG(kind));
        CHECK(len < sizeof slots);
    }
    char stamp_text[24], ttl_text[24];
    snprintf(stamp_text, sizeof stamp_text, "%lld", (long long)stamp);
    snprintf(ttl_text, sizeof ttl_text, "%lld", (long long)ttl_ms);
    /* By text: nobody waits for the answer, so nobody could send it again. */
    struct str args[] = {STR("EVAL"),       str_from(store_script.text), STR("2"),     entry_key(key, text),
                         STR(STAMPS_KEY),   str_from(stamp_text),        {slots, len}, value,
                         str_from(ttl_text)};
    bool sent = be_current(cache) && redis_queue(cache->redis, sizeof args / sizeof *args, args) &&
                redis_push(cache->redis);
    cache->missed |= !sent;
    return sent;
}

bool shared_cache_invalidate_queue(struct redis *redis, struct str kind, const struct uuid *ids, size_t count,
                                   const char *channel, struct str message)
{
    char slots[(SHARED_CACHE_IDS_MAX + 1) * SLOT_TEXT_MAX], name[SLOT_TEXT_MAX];
    size_t len = 0;
    CHECK(count <= SHARED_CACHE_IDS_MAX);
    if (kind.len == 0)
        len += (size_t)snprintf(slots, sizeof slots, "floor");
    else
        len += (size_t)snprintf(slots, sizeof slots, "%.*s:any", STR_ARG(kind));
    if (kind.len > 0 && count == 0)
        len += (size_t)snprintf(slots + len, sizeof slots - len, " %.*s:all", STR_ARG(kind));
    for (size_t i = 0; i < count; i++)
        len += (size_t)snprintf(slots + len, sizeof slots - len, " %.*s",
                                STR_ARG(slot_thing(kind, ids[i], name)));
    /* By text: the answers of a queue are not looked at one by one, so nobody could send it again. */
    struct str args[] = {STR("EVAL"),  str_from(invalidate_script.text),
                         STR("1"),     STR(STAMPS_KEY),
                         {slots, len}, str_from(channel),
                         message};
    return redis_queue(redis, sizeof args / sizeof *args, args);
}
