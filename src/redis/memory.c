#include "redis/memory.h"

#include "base/log.h"
#include "redis/redis.h"

struct redis_memory redis_memory_parse(struct str info)
{
    struct redis_memory memory = {.policy = STR_NONE};
    while (info.ptr) {
        struct str line = str_split(&info, '\n'), value = str_split(&line, '\r');
        struct str name = str_split(&value, ':');
        if (str_equal(name, STR("maxmemory_policy")))
            memory.policy = value;
        else if (str_equal(name, STR("maxmemory")) && !str_to_int64(value, &memory.max_bytes))
            memory.max_bytes = 0;
    }
    return memory;
}

const char *redis_memory_fault(const struct redis_memory *memory)
{
    if (str_starts_with(memory->policy, STR("allkeys-")))
        return "redis may evict streams of tasks and stamps of the cache";
    if (memory->max_bytes > 0 && memory->max_bytes < REDIS_MEMORY_LEAST)
        return "redis has little memory";
    return NULL;
}

enum error_code redis_memory_check(const char *url, struct error *error)
{
    struct redis_address address;
    enum error_code code = redis_url_parse(str_from(url), &address, error);
    if (code)
        return code;
    struct redis *redis = redis_new(url);
    redisReply *reply = REDIS_CALL(redis, STR("INFO"), STR("memory"));
    struct redis_memory memory = redis_memory_parse(redis_reply_str(reply));
    const char *fault = redis_memory_fault(&memory);
    if (fault)
        log_write(LOG_WARN, fault, LOG_STR("policy", memory.policy),
                  LOG_INT("maxmemory_bytes", memory.max_bytes));
    freeReplyObject(reply);
    redis_free(redis);
    return ERR_OK;
}
