"""A program for Label Studio's own Python: fills its database with a project, tasks and annotators; prints ids and tokens."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

CONFIG = """<View>
  <Text name="prompt" value="$prompt"/>
  <List name="answers" value="$items" title="Answers"/>
  <Ranker name="rank" toName="answers"/>
</View>"""


def main(names: list[str], *, num_raters: int, num_tasks: int) -> None:
    import label_studio

    sys.path.insert(0, str(Path(label_studio.__file__).parent))
    os.environ["DJANGO_SETTINGS_MODULE"] = "label_studio.core.settings.label_studio"
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    told = arrange(names, num_raters=num_raters, num_tasks=num_tasks)
    print(json.dumps(told))


def arrange(names: list[str], *, num_raters: int, num_tasks: int) -> dict[str, Any]:
    from organizations.models import Organization
    from projects.models import Project
    from rest_framework.authtoken.models import Token
    from tasks.models import Task
    from users.models import User

    raters = [
        User.objects.create_user(email=f"rater{i}@example.com", password="a long enough pass phrase")
        for i in range(num_raters)
    ]
    organization = Organization.create_organization(created_by=raters[0], title="Bench")
    organization.jwt.legacy_api_tokens_enabled = True
    organization.jwt.save()
    for rater in raters:
        organization.add_user(rater)
        rater.active_organization = organization
        rater.save()
    projects = {}
    for name in names:
        project = Project.objects.create(
            title=name, label_config=CONFIG, created_by=raters[0], organization=organization, maximum_annotations=1
        )
        Task.objects.bulk_create(
            Task(project=project, inner_id=i + 1, overlap=1, data={"prompt": f"Question {i}?", "items": items(i)})
            for i in range(num_tasks)
        )
        projects[name] = project.pk
    tokens = [Token.objects.get_or_create(user=rater)[0].key for rater in raters]
    return {"projects": projects, "tokens": tokens}


def items(number: int) -> list[dict[str, str]]:
    return [
        {
            "id": name,
            "title": f"Answer {name}",
            "body": f"Answer {name} to question {number}." + " Some more words." * 20,
        }
        for name in "abcd"
    ]


if __name__ == "__main__":
    main(sys.argv[3:], num_raters=int(sys.argv[1]), num_tasks=int(sys.argv[2]))
