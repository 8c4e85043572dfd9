#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0

"""GET /api/openapi.json against the routes that are served."""

import json
import os
import re

import weir

METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}
PAGE = os.path.join(os.path.dirname(__file__), "..", "..", "man", "weir-httpd.8.in")


def resolve(document, reference):
    weir.expect(reference.startswith("#/"), reference)
    at = document
    for word in reference[2:].split("/"):
        weir.expect(word in at, "%s leads nowhere" % reference)
        at = at[word]
    return at


def check_schema(document, schema, where):
    """What OpenAPI 3.0 allows of JSON Schema, as far as it is used."""
    weir.expect(isinstance(schema, dict), where)
    if "$ref" in schema:
        weir.expect(list(schema) == ["$ref"], "%s: $ref is not alone" % where)
        resolve(document, schema["$ref"])
        return
    known = {
        "type", "properties", "items", "required", "description", "enum",
        "default", "minimum", "maximum", "minItems", "maxItems",
        "additionalProperties", "nullable",
    }
    weir.expect(set(schema) <= known, "%s: %s" % (where, set(schema) - known))
    if not schema:
        return  # anything
    kind = schema.get("type")
    kinds = ("object", "array", "string", "integer", "number", "boolean")
    weir.expect(kind in kinds, "%s: type %r" % (where, kind))
    weir.expect((kind == "array") == ("items" in schema), "%s: items" % where)
    if "items" in schema:
        check_schema(document, schema["items"], where + "[]")
    for name, inner in schema.get("properties", {}).items():
        check_schema(document, inner, "%s.%s" % (where, name))
    for name in schema.get("required", []):
        weir.expect(name in schema["properties"], "%s: %s" % (where, name))


def check_content(document, holder, where):
    for media, content in holder.get("content", {}).items():
        weir.expect("/" in media, where)
        check_schema(document, content["schema"], where)


def check_parameters(document, path, operation, where):
    seen = set()
    for parameter in operation["parameters"]:
        weir.expect(parameter["in"] in ("path", "query"), where)
        key = parameter["in"], parameter["name"]
        weir.expect(key not in seen, "%s: %r twice" % (where, key))
        seen.add(key)
        if parameter["in"] == "path":
            weir.expect(parameter["required"] is True, where)
        check_schema(document, parameter["schema"], where)
    names = {name for place, name in seen if place == "path"}
    weir.expect(names == set(re.findall(r"{(\w+)}", path)), "%s: %s" % (where, names))


def check_operation(document, path, method, operation, ids):
    where = "%s %s" % (method, path)
    weir.expect(operation["operationId"] not in ids, where)
    ids.add(operation["operationId"])
    weir.expect(operation["summary"], where)
    check_parameters(document, path, operation, where)
    if "requestBody" in operation:
        weir.expect(method in ("post", "put"), where)
        check_content(document, operation["requestBody"], where)
    weir.expect(
        any(status.startswith("2") for status in operation["responses"]), where
    )
    for status, response in operation["responses"].items():
        weir.expect(re.match(r"[1-5]\d\d$", status), "%s: %s" % (where, status))
        if "$ref" in response:
            response = resolve(document, response["$ref"])
        weir.expect(response["description"], where)
        check_content(document, response, where)
    for choice in operation.get("security", document["security"]):
        for name in choice:
            weir.expect(name in document["components"]["securitySchemes"], where)


def check_document(document):
    weir.expect(re.match(r"3\.0\.\d$", document["openapi"]), document["openapi"])
    weir.expect(document["info"]["title"] and document["info"]["version"], "info")
    for name, schema in document["components"]["schemas"].items():
        check_schema(document, schema, name)
    ids = set()
    for path, operations in document["paths"].items():
        weir.expect(path.startswith("/") and not path.endswith("/"), path)
        for method, operation in operations.items():
            weir.expect(method in METHODS, method)
            check_operation(document, path, method, operation, ids)


def fill(path):
    """A path whose parameters name nothing that there is."""
    return re.sub(r"{id}", "1", re.sub(r"{(?!id)\w+}", "no-such", path))


def served(tap, suite, document):
    with tap.case("each documented route is served, and asks for what it says"):
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                where = "%s %s" % (method, path)
                status, _, text = suite.http(
                    method.upper(), fill(path), auth=None
                )
                is_open = operation.get("security", None)
                if is_open is None:
                    weir.expect(status == 401, "%s: %d %s" % (where, status, text))
                else:
                    weir.expect(status == 200, "%s: %d %s" % (where, status, text))

    with tap.case("a GET with an account answers what is documented"):
        for path, operations in document["paths"].items():
            if "get" not in operations:
                continue
            status, headers, text = suite.http("GET", fill(path))
            documented = operations["get"]["responses"]
            weir.expect(str(status) in documented, "%s: %d %s" % (path, status, text))
            if headers["content-type"].startswith("application/json"):
                json.loads(text)

    with tap.case("other methods are 405, and Allow has the documented ones"):
        for path, operations in document["paths"].items():
            want = {method.upper() for method in operations}
            if "GET" in want:
                want.add("HEAD")
            for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
                if method in want:
                    continue
                status, headers, _ = suite.http(method, fill(path))
                weir.expect(status == 405, "%s %s: %d" % (method, path, status))
                allow = set(headers["allow"].split(", "))
                weir.expect(allow == want, "%s: %s, not %s" % (path, allow, want))

    with tap.case("HEAD is GET without a body"):
        for path in ("/healthz", "/api/openapi.json"):
            http = weir.Http(suite.http_port)
            http.send(http.head("HEAD", path, None) + http.head("GET", path, None))
            text = b""
            while text.count(b"HTTP/1.1 200 ") < 2:
                text += http.sock.recv(1 << 16)
            _, rest = text.split(b"\r\n\r\n", 1)
            weir.expect(rest.startswith(b"HTTP/1.1 200 "), "a body after HEAD")
            http.close()

    with tap.case("what is not documented is not served"):
        for path in ("/", "/api", "/api/v5", "/api/v4/no", "/healthz/x",
                     "/api/v4/mqtt/subscribe", "/api/v4/mqtt/unsubscribe"):
            weir.expect(path not in document["paths"], path)
            for method in ("GET", "POST"):
                status = suite.http(method, path)[0]
                weir.expect(status == 404, "%s %s: %d" % (method, path, status))


def manual(tap, document):
    with tap.case("weir-httpd(8) lists the same routes"):
        with open(PAGE) as f:
            listed = set(re.findall(r"^\.It Ic (\w+) (/\S*)", f.read(), re.M))
        wanted = {
            (method.upper(), path)
            for path, operations in document["paths"].items()
            for method in operations
        }
        weir.expect(
            listed == wanted,
            "only in the manual: %s; not in it: %s"
            % (sorted(listed - wanted), sorted(wanted - listed)),
        )


def main():
    tap = weir.Tap()
    with tap.case("the suite starts, and ends in order"):
        with weir.Weir() as suite:
            status, _, text = suite.http("GET", "/api/openapi.json", auth=None)
            weir.expect(status == 200, status)
            document = json.loads(text)
            with tap.case("the document is OpenAPI 3.0"):
                check_document(document)
            served(tap, suite, document)
            manual(tap, document)
    tap.done()


if __name__ == "__main__":
    main()
