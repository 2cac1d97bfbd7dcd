/* What an invariant found. Kept in an arena; past VIOLATIONS_MAX they are only counted. */
#ifndef CATHAY_WORK_VIOLATIONS_H
#define CATHAY_WORK_VIOLATIONS_H

#include "work/work.h"

struct violation {
    struct str where;
    struct str what;
};

struct violations {
    struct arena *arena;
    struct violation items[VIOLATIONS_MAX];
    size_t count;
    size_t more;
};

#endif
