#!/usr/bin/python3
# docs/directives.md describes every directive and variable of the module, in the order of its tables, with its contexts and
# arguments, and nothing else; nginx accepts its defaults and examples.

import pathlib
import re
import shutil

from lib.apikeytest import Test
from lib.apikeytest.nginx import Nginx

ROOT = pathlib.Path(__file__).resolve().parent.parent
CONTEXTS = {"NGX_HTTP_MAIN_CONF": ["http"], "NGX_HTTP_LOC_CONF": ["location"], "kAnywhere": ["http", "server", "location", "limit_except"]}
MANY = 1000
ARGUMENTS = {"NGX_CONF_TAKE1": (1, 1), "NGX_CONF_TAKE12": (1, 2), "NGX_CONF_TAKE123": (1, 3),
             "NGX_CONF_1MORE": (1, MANY), "NGX_CONF_FLAG": (1, 1), "NGX_CONF_NOARGS": (0, 0)}

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    %ZONE%
    upstream backend { server 127.0.0.1:%PORT_B%; }
    %EXAMPLE%
}
"""


def documented_arguments(syntax, name):
    """(fewest, most) that the syntax allows: [a] may be left out (but not all), a ... stands any number of times, a | b is one."""
    words = re.search(rf"\*\*`{name}`\*\* ?`(.*);`$", syntax)[1].replace(r" \| ", "|").split()
    required = [word for word in words if word != "..." and not word.startswith("[")]
    optional = [word for word in words if word.startswith("[")]
    return len(required) or min(len(optional), 1), MANY if "..." in words else len(required) + len(optional)


def accepted(example):
    """Whether nginx -t takes it, in http { } or, if it is not for there, in a server; and what it says."""
    said = []
    for text in (example, f"server {{ {example} }}"):
        nginx = Nginx(t.new_folder("nginx-check"), CONF, start=False, example=re.sub("/etc/nginx|/var/spool/nginx-api-key", t.folder, text),
                      zone="" if "api_key_zone" in text else "api_key_zone keys:1m;")
        shutil.copy(ROOT / "conf/api_key_params", nginx.folder)
        status, output = nginx.check_config()
        if status == 0:
            return True, output
        said.append(output)
    return False, "\n".join(said)


with Test() as t:
    table = (ROOT / "ngx_module/directives.cpp").read_text(encoding="utf-8").split("ngx_command_t directives[]")[1]
    in_code = re.findall(r'ngx_string\("(\w+)"\),\s*(\w+) \| (\w+),', table)
    text = (ROOT / "docs/directives.md").read_text(encoding="utf-8")
    sections = re.findall(r"^## (\w+)\n(.*?)(?=^#)", text, re.M | re.S)
    for name in ("redis.password", "apikeyd.secret"):
        pathlib.Path(t.folder, name).write_text("a secret\n", encoding="ascii")

    t.is_(len(in_code), table.count("ngx_string("), "the table was read")
    t.is_([name for name, _ in sections], [name for name, _, _ in in_code], "every directive, in the table's order")
    for (name, section), (_, where, arguments) in zip(sections, in_code):
        rows = dict(re.findall(r"^\| (\w+): \| (.*) \|$", section, re.M))
        t.is_(list(rows), ["Syntax", "Default", "Context"], f"{name}: syntax, default and context")
        t.is_(re.findall(r"`(\w+)`", rows["Context"]), CONTEXTS[where], f"{name}: its contexts")
        (fewest, most), (at_least, at_most) = documented_arguments(rows["Syntax"], name), ARGUMENTS[arguments]
        t.ok(fewest == at_least and (most == at_most or fewest < most < at_most == MANY), f"{name}: its arguments",
             rows["Syntax"], arguments)
        t.is_(r"`on \| off;`" in rows["Syntax"], arguments == "NGX_CONF_FLAG", f"{name}: on, off or something else")
        if rows["Default"] != "—":
            passes, said = accepted(rows["Default"].strip("`"))
            t.ok(passes, f"{name}: its default", said)
        t.ok("```nginx" in section, f"{name}: an example")

    variables = re.findall(r'ngx_string\("(api_key_\w+)"\)',
                           (ROOT / "ngx_module/variables.cpp").read_text(encoding="utf-8"))
    t.is_(re.findall(r"^\| `\$(api_key_\w+)`", text, re.M), variables, "every variable, in the table's order")
    t.is_(sorted(set(re.findall(r"\$(api_key_\w+)", text)) - set(variables)), [], "and no other is named")
    t.is_(sorted(set(re.findall(r"\b(api_key\w*)\b", text)) - set(variables) - {name for name, _, _ in in_code}
                 - {"api_key_params", "api_keys", "api_key_unavailable"}), [], "nor a directive that is not there")

    examples = re.findall(r"^```nginx\n(.*?)^```", text, re.M | re.S)
    t.ok(len(examples) > 8, "there are examples")
    for example in examples:
        passes, said = accepted(example)
        t.ok(passes, f"nginx accepts: {' '.join(example.split())[:60]}", said)
