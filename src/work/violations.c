#include "work/violations.h"

#include <stdarg.h>
#include <stdio.h>

void violation_add(struct violations *violations, const char *where, const char *format, ...)
{
    if (violations->count == VIOLATIONS_MAX) {
        violations->more++;
        return;
    }
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    struct violation *to = &violations->items[violations->count++];
    to->where = arena_copy(violations->arena, str_from(where));
    to->what = arena_copy(violations->arena, str_from(text));
}
