/* Tells AddressSanitizer that memory which stays allocated holds nothing now: what reads it by a stale
 * pointer is reported, as it would be after free(). Without the sanitizer both do nothing. */
#ifndef CATHAY_BASE_POISON_H
#define CATHAY_BASE_POISON_H

#if defined(__SANITIZE_ADDRESS__)
#define CATHAY_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CATHAY_ADDRESS_SANITIZER 1
#endif
#endif

#ifdef CATHAY_ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#define MEMORY_POISON(address, bytes) ASAN_POISON_MEMORY_REGION((address), (bytes))
#define MEMORY_UNPOISON(address, bytes) ASAN_UNPOISON_MEMORY_REGION((address), (bytes))
#else
#define MEMORY_POISON(address, bytes) ((void)(address), (void)(bytes))
#define MEMORY_UNPOISON(address, bytes) ((void)(address), (void)(bytes))
#endif

#endif
