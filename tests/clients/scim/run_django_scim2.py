"""django-scim2 on a SQLite file in the working directory. Listens on PORT, takes TOKEN."""

import os
import sys
from wsgiref.simple_server import make_server

import django
from django.apps import AppConfig
from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.urls import include, path

# Django imports the application, the routes and the models by the name of their module.
sys.modules["store"] = sys.modules[__name__]


class Store(AppConfig):
    name = "store"
    path = os.path.dirname(os.path.abspath(__file__))

    def import_models(self):
        """The models cannot be written down before Django has its applications."""
        super().import_models()
        self.models_module = sys.modules["store"]
        from django.contrib.auth.models import AbstractUser
        from django.db import models
        from django_scim.models import AbstractSCIMGroupMixin, AbstractSCIMUserMixin

        class Group(AbstractSCIMGroupMixin):
            name = models.CharField(max_length=80, unique=True)

            class Meta:
                app_label = "store"

        class User(AbstractSCIMUserMixin, AbstractUser):
            scim_groups = models.ManyToManyField(Group, related_name="user_set")

            class Meta:
                app_label = "store"

        self.models_module.Group = Group


class Caller:
    """Whoever carries the token."""

    is_authenticated = True
    is_anonymous = False


def authenticate(get_response):
    def answer(request):
        if request.headers.get("Authorization") == f"Bearer {os.environ['TOKEN']}":
            request.user = Caller()
        return get_response(request)

    return answer


settings.configure(
    SECRET_KEY="a-secret-for-tests",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF="store",
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django_scim", "store.Store"],
    MIDDLEWARE=["store.authenticate", "django_scim.middleware.SCIMAuthCheckMiddleware"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "store.sqlite"}},
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    AUTH_USER_MODEL="store.User",
    SCIM_SERVICE_PROVIDER={
        "NETLOC": f"127.0.0.1:{os.environ['PORT']}",
        "SCHEME": "http",
        "GROUP_MODEL": "store.Group",
        "AUTHENTICATION_SCHEMES": [{"type": "oauthbearertoken", "name": "token", "description": "bearer token"}],
    },
    USE_TZ=True,
    APPEND_SLASH=False,
)
django.setup()
urlpatterns = [path("scim/v2/", include("django_scim.urls"))]

if __name__ == "__main__":
    call_command("migrate", run_syncdb=True, verbosity=0)
    make_server("127.0.0.1", int(os.environ["PORT"]), get_wsgi_application()).serve_forever()
