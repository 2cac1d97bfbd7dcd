/* The server's own background work: answers kept by Idempotency-Key are removed after two days. */
#ifndef CATHAY_HTTP_HTTP_MODULE_H
#define CATHAY_HTTP_HTTP_MODULE_H

#include "work/work.h"

extern const struct module http_module;

#endif
