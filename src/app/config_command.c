#include "app/commands.h"

#include "base/config.h"
#include "shop/accounts/accounts.h"

#include <stdio.h>
#include <string.h>

static const char help[] = "Usage: cathay config                     prints every setting: its variable, "
                           "value (secrets hidden), unit, source and meaning\n"
                           "       cathay config --new-token-key     makes a signing key for "
                           "CATHAY_TOKEN_KEYS and prints it; keep it secret\n";

int config_command(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--new-token-key") == 0) {
        char key[ACCOUNTS_TOKEN_KEY_TEXT_MAX];
        accounts_token_key_make(key);
        puts(key);
        return 0;
    }
    if (argc > 1) {
        bool asked = strcmp(argv[1], "--help") == 0;
        fputs(help, asked ? stdout : stderr);
        return asked ? 0 : 2;
    }
    config_print();
    return 0;
}
