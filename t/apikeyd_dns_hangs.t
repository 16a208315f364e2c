#!/usr/bin/python3
# A system whose name lookups hang makes apikeyd neither deaf to SIGTERM nor slow to say what it lacks, and when they answer
# again it finds Redis at the address that its name has now.
# Hazards: R24, G1

import os
import subprocess
import time

from lib.apikeytest import Test, places, skip_all, wait_for

# Between apikeyd and libc: a lookup waits for as long as there is a file, and localhost is the address that another has.
HANGING = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
int getaddrinfo(const char* name, const char* service, const struct addrinfo* hints, struct addrinfo** found) {
    int (*real)(const char*, const char*, const struct addrinfo*, struct addrinfo**) = dlsym(RTLD_NEXT, "getaddrinfo");
    char address[64] = "";
    while (access("%FOLDER%/hangs", F_OK) == 0) usleep(20000);
    FILE* file = fopen("%FOLDER%/address", "r");
    if (file && name && !strcmp(name, "localhost") && fgets(address, sizeof address, file)) name = address;
    if (file) fclose(file);
    return real(name, service, hints, found);
}
"""


def make_hanging(folder):
    with open(f"{folder}/hanging.c", "w", encoding="ascii") as source:
        source.write(HANGING.replace("%FOLDER%", folder))
    subprocess.run(["cc", "-shared", "-fPIC", "-o", f"{folder}/hanging.so", f"{folder}/hanging.c", "-ldl"], check=True)


def started(postgres, redis):
    os.environ["LD_PRELOAD"] = f"{folder}/hanging.so"
    try:
        return t.apikeyd(postgres, redis, wait=False)
    finally:
        del os.environ["LD_PRELOAD"]


def lookups_hang(yes):
    if yes:
        open(f"{folder}/hangs", "w", encoding="ascii").close()
    else:
        os.remove(f"{folder}/hangs")


def localhost_is(address):
    with open(f"{folder}/address", "w", encoding="ascii") as file:
        file.write(address)


def seconds_to_stop(daemon):
    begun = time.monotonic()
    t.ok(daemon.stop(20), "SIGTERM ends apikeyd")
    return time.monotonic() - begun


def has_alice(redis):
    return redis("EXISTS", f"apikey:k:{alice.hash}") == 1 and redis.epoch()


if places.SANITIZED:
    skip_all("another library cannot be loaded before the sanitizer's")

with Test() as t:
    folder = t.new_folder("hanging")
    pg, alice = t.postgres(), t.key(user="alice")
    pg.sql(f"INSERT INTO api_keys (id, user_id, name, key_hash, prefix) "
           f"VALUES ('{alice.id}', 'alice', 'k', '{alice.hash}', '{alice.prefix}')")
    one = t.redis(port=True)
    two = t.redis(port=one.port, options={"bind": "127.0.0.2"})
    make_hanging(folder)
    localhost_is("127.0.0.1")
    daemon = started(pg, f"redis://localhost:{one.port}/0")
    t.ok(wait_for(lambda: has_alice(one)), "apikeyd fills Redis")

    # It follows its name, and every connection of it does.
    localhost_is("127.0.0.2")
    one.kill()
    t.ok(wait_for(lambda: has_alice(two)), "Redis moves: apikeyd fills the new one", daemon.log()[-600:])
    t.ok(two("GET", "apikey:leader"), "and leads there")
    t.is_(two("PUBSUB", "NUMSUB", "apikey:applied")[1], 1, "and hears the workers there")

    # While lookups hang.
    lookups_hang(True)
    two.kill()
    t.ok(wait_for(lambda: "while looking up its name" in daemon.log()), "lookups hang: the log says so")
    one.start()
    localhost_is("127.0.0.1")
    lookups_hang(False)
    t.ok(wait_for(lambda: has_alice(one), 8), "they answer again: it fills Redis at once", daemon.log()[-600:])

    lookups_hang(True)
    one.kill()
    time.sleep(1.5)
    took = seconds_to_stop(daemon)
    t.ok(took < 3, "in time, with a lookup of Redis' name under way", f"{took:.2f} s")

    daemon = started("host=localhost port=1 user=nobody dbname=none", one)
    time.sleep(1)
    took = seconds_to_stop(daemon)
    t.ok(took < 3, "in time, with one of Postgres' name under way", f"{took:.2f} s")
