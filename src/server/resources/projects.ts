/** `/api/v1/projects`: who owns and pays. */
import { Type } from 'typebox';
import { AgentError } from '../../contract/failures.ts';
import { given } from '../db/entities/fields.ts';
import { Project } from '../db/entities/project.ts';
import { appendEvent } from '../db/events.ts';
import { newId } from '../db/new-id.ts';
import { Duplicate } from '../db/store.ts';
import { everybody, found, maySee } from '../http/access.ts';
import { listOf, listQuery, page, pageOptions, pathOf } from '../http/lists.ts';
import { type Route, route } from '../http/route.ts';

const NewProject = Type.Object(
  {
    name: Project.properties.name,
    display_name: Type.Optional(given(Project.properties.display_name)),
  },
  { additionalProperties: false, description: 'A project to make.' },
);

const ListQuery = listQuery({});

export function projectRoutes(): Route[] {
  return [
    route({
      ...{ method: 'POST', path: '/api/v1/projects', tag: 'projects', summary: 'Makes a project.' },
      allow: ['admin'],
      body: NewProject,
      answer: Project,
      status: 201,
      change: async (asked, tx) => {
        const { name, display_name = name } = asked.body;
        const project: Project = {
          ...{ id: newId(asked.now), name, display_name },
          created_at: new Date(asked.now).toISOString(),
        };
        await unlessTaken(() => tx.projects.insert(project), `The name ${name} is taken.`);
        await appendEvent(tx, asked, {
          ...{ type: 'project.created', project_id: project.id, subject: { kind: 'project', id: project.id } },
          message: `Project ${name} was made.`,
        });
        return { body: project };
      },
    }),
    route({
      ...{ method: 'GET', path: '/api/v1/projects', tag: 'projects', summary: 'Lists the projects this token sees.' },
      allow: everybody,
      query: ListQuery,
      answer: listOf(Project),
      read: async ({ who, query }, tx) => {
        const own = who.projectId === null ? undefined : await tx.projects.get(who.projectId);
        const all = who.projectId === null ? await tx.projects.list(pageOptions(query)) : own ? [own] : [];
        return page(all, query, (project) => project);
      },
    }),
    route({
      ...{ method: 'GET', path: '/api/v1/projects/{project_id}', tag: 'projects', summary: 'Shows a project.' },
      allow: everybody,
      params: pathOf('project_id', 'The project.'),
      answer: Project,
      read: async ({ who, params: { project_id } }, tx) => {
        const project = maySee(who, project_id) ? await tx.projects.get(project_id) : undefined;
        return found('project', project_id, project);
      },
    }),
  ];
}

/** What is taken already is a conflict for the caller, not a bug. */
export async function unlessTaken(insert: () => Promise<void>, reason: string): Promise<void> {
  try {
    await insert();
  } catch (error) {
    throw error instanceof Duplicate ? new AgentError('resource.conflict', { reason }, { cause: error }) : error;
  }
}
