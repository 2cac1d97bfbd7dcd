#include "shop/notify/mail_send.h"

#include "base/check.h"
#include "base/config.h"

#include <curl/curl.h>

struct upload {
    struct str rest;
};

static size_t upload_read(char *bytes, size_t size, size_t count, void *context)
{
    struct upload *upload = context;
    size_t len = size * count < upload->rest.len ? size * count : upload->rest.len;
    memcpy(bytes, upload->rest.ptr, len);
    upload->rest = (struct str){upload->rest.ptr + len, upload->rest.len - len};
    return len;
}

/* What the server said of the envelope or the message: 4xx may pass, 5xx will not. */
static enum error_code judge(CURL *easy, CURLcode result, struct error *error)
{
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    if (result == CURLE_OK)
        return ERR_OK;
    if (result == CURLE_OPERATION_TIMEDOUT)
        return error_set(error, ERR_PARTNER_TIMEOUT, "The mail server did not answer in time");
    /* 530 and 535 ask for another sign-in: our settings, not this mail. */
    bool refused = status >= 550 && status <= 559 && result != CURLE_LOGIN_DENIED;
    return error_set(error, refused ? ERR_VALIDATION : ERR_PARTNER, "The mail server: %s (%ld)",
                     curl_easy_strerror(result), status);
}

enum error_code mail_send(struct pg *db, struct arena *arena, struct str from, struct str to,
                          struct str message, struct error *error)
{
    CHECK(!db || !pg_in_transaction(db));
    CURL *easy = curl_easy_init();
    CHECK(easy);
    struct upload upload = {message};
    char *sender = arena_cstr(arena, arena_printf(arena, "<%.*s>", STR_ARG(from)));
    char *recipient = arena_cstr(arena, arena_printf(arena, "<%.*s>", STR_ARG(to)));
    struct curl_slist *recipients = curl_slist_append(NULL, recipient);
    curl_easy_setopt(easy, CURLOPT_URL, config()->smtp_url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_USE_SSL, (long)CURLUSESSL_TRY);
    if (config()->smtp_password && config()->smtp_password[0])
        curl_easy_setopt(easy, CURLOPT_PASSWORD, config()->smtp_password);
    curl_easy_setopt(easy, CURLOPT_MAIL_FROM, sender);
    curl_easy_setopt(easy, CURLOPT_MAIL_RCPT, recipients);
    curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, upload_read);
    curl_easy_setopt(easy, CURLOPT_READDATA, &upload);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)config()->partner_timeout_ms);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    enum error_code code = judge(easy, curl_easy_perform(easy), error);
    curl_slist_free_all(recipients);
    curl_easy_cleanup(easy);
    return code;
}
