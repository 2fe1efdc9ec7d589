"""django-scim2-server on a SQLite file in the working directory. Listens on PORT, takes TOKEN."""

import os
import sys
from wsgiref.simple_server import make_server

import django
from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.urls import include, path

# Django imports the routes, and the check of the token, by the name of their module.
sys.modules["store"] = sys.modules[__name__]


def carries_token(request):
    return request.headers.get("Authorization") == f"Bearer {os.environ['TOKEN']}"


settings.configure(
    SECRET_KEY="a-secret-for-tests",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF="store",
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django_scim2_server"],
    MIDDLEWARE=[],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "store.sqlite"}},
    SCIM2_SERVER_AUTH_CHECK="store.carries_token",
    USE_TZ=True,
    APPEND_SLASH=False,
)
django.setup()
urlpatterns = [path("scim/v2/", include("django_scim2_server.urls"))]

if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    make_server("127.0.0.1", int(os.environ["PORT"]), get_wsgi_application()).serve_forever()
