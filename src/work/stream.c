#include "work/stream.h"

#include "base/check.h"

#include <stdio.h>

static const struct str keys[TASK_PRIORITY_COUNT] = {[TASK_HIGH] = STR("cathay:tasks:high"),
                                                     [TASK_NORMAL] = STR("cathay:tasks:normal"),
                                                     [TASK_LOW] = STR("cathay:tasks:low")};

bool stream_push(struct redis *redis, struct task_id id, enum task_priority priority)
{
    CHECK(priority < TASK_PRIORITY_COUNT);
    char hex[32];
    uuid_hex(id.uuid, hex);
    struct str args[] = {STR("XADD"), keys[priority], STR("MAXLEN"),    STR("~"), STR(STREAM_LENGTH_MAX),
                         STR("*"),    STR("t"),       {hex, sizeof hex}};
    return redis_queue(redis, sizeof args / sizeof *args, args);
}

/* From the very start of the stream: what was pushed before the first worker came counts too. */
static bool create_groups(struct redis *redis)
{
    for (int i = 0; i < TASK_PRIORITY_COUNT; i++) {
        redisReply *reply = REDIS_CALL(redis, STR("XGROUP"), STR("CREATE"), keys[i], STR(STREAM_GROUP),
                                       STR("0"), STR("MKSTREAM"));
        bool there = reply && (reply->type != REDIS_REPLY_ERROR || redis_reply_is_error(reply, "BUSYGROUP"));
        freeReplyObject(reply);
        if (!there)
            return false;
    }
    return true;
}

/* [[key, [[entry id, [field, value]], …]], …] */
static void take_entries(struct stream_reader *reader, const redisReply *reply)
{
    for (size_t i = 0; i < reply->elements; i++) {
        const redisReply *stream = reply->element[i];
        if (stream->type != REDIS_REPLY_ARRAY || stream->elements != 2)
            continue;
        const redisReply *entries = stream->element[1];
        for (size_t j = 0; j < entries->elements && reader->count < TASK_PRIORITY_COUNT; j++) {
            const redisReply *entry = entries->element[j];
            if (entry->type != REDIS_REPLY_ARRAY || entry->elements != 2 || entry->element[1]->elements < 2)
                continue;
            struct uuid id;
            if (uuid_parse(redis_reply_str(entry->element[1]->element[1]), &id))
                reader->waiting[reader->count++].uuid = id;
        }
    }
}

/* The consumer's name is the same for all: without acknowledgement Redis keeps nothing for a consumer. */
static enum redis_wait read_once(struct redis *redis, struct stream_reader *reader, int first, int last,
                                 int wait_ms, bool may_create)
{
    struct str args[24] = {STR("XREADGROUP"), STR("GROUP"), STR(STREAM_GROUP), STR("any"),
                           STR("COUNT"),      STR("1"),     STR("NOACK")};
    size_t count = 7;
    char wait[16];
    if (wait_ms > 0) {
        snprintf(wait, sizeof wait, "%d", wait_ms);
        args[count++] = STR("BLOCK");
        args[count++] = str_from(wait);
    }
    args[count++] = STR("STREAMS");
    for (int i = first; i <= last; i++)
        args[count++] = keys[i];
    for (int i = first; i <= last; i++)
        args[count++] = STR(">");
    redisReply *reply =
        wait_ms > 0 ? redis_call_blocking(redis, wait_ms, count, args) : redis_call(redis, count, args);
    if (!reply)
        return REDIS_AWAY;
    enum redis_wait result = REDIS_QUIET;
    if (reply->type == REDIS_REPLY_ARRAY) {
        take_entries(reader, reply);
        result = reader->count > 0 ? REDIS_MESSAGE : REDIS_QUIET;
    } else if (reply->type == REDIS_REPLY_ERROR && may_create) { /* no group: a new or a flushed server */
        result = create_groups(redis) ? read_once(redis, reader, first, last, wait_ms, false) : REDIS_AWAY;
    }
    freeReplyObject(reply);
    return result;
}

enum redis_wait stream_next(struct redis *redis, struct stream_reader *reader, enum task_priority least,
                            int wait_ms, struct task_id *id)
{
    for (int i = 0; i <= (int)least && reader->count == 0; i++)
        if (read_once(redis, reader, i, i, 0, true) == REDIS_AWAY)
            return REDIS_AWAY;
    if (reader->count == 0) {
        enum redis_wait result = read_once(redis, reader, 0, (int)least, wait_ms, true);
        if (result != REDIS_MESSAGE)
            return result;
    }
    *id = reader->waiting[0];
    reader->count--;
    memmove(reader->waiting, reader->waiting + 1, reader->count * sizeof *reader->waiting);
    return REDIS_MESSAGE;
}

static int64_t lag_of(const redisReply *group)
{
    for (size_t i = 0; i + 1 < group->elements; i += 2)
        if (str_equal(redis_reply_str(group->element[i]), STR("lag")) &&
            group->element[i + 1]->type == REDIS_REPLY_INTEGER)
            return group->element[i + 1]->integer;
    return 0; /* Redis cannot tell, after entries were trimmed away unread */
}

bool stream_backlog(struct redis *redis, enum task_priority priority, int64_t *entries)
{
    redisReply *reply = REDIS_CALL(redis, STR("XINFO"), STR("GROUPS"), keys[priority]);
    if (!reply)
        return false;
    *entries = 0; /* no such stream: a flushed server */
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements > 0) {
        *entries = lag_of(reply->element[0]);
    } else if (reply->type == REDIS_REPLY_ARRAY) { /* no worker has ever come: nothing has been read */
        redisReply *length = REDIS_CALL(redis, STR("XLEN"), keys[priority]);
        if (length && length->type == REDIS_REPLY_INTEGER)
            *entries = length->integer;
        freeReplyObject(length);
    }
    freeReplyObject(reply);
    return true;
}
