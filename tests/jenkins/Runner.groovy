/*
 * Evaluates a declarative Jenkinsfile outside Jenkins: `Runner.groovy JENKINSFILE SCENARIOS.json` prints, for each
 * scenario, what happened in order. Stages, agents, conditions, post sections and results follow Jenkins' rules;
 * `sh` really runs. Whatever this file does not define is an error, so a misspelt word is found.
 */
import groovy.json.JsonOutput
import groovy.json.JsonSlurper
import org.codehaus.groovy.control.CompilerConfiguration

/** From best to worst; a build's result only ever gets worse. */
enum Result { SUCCESS, UNSTABLE, FAILURE, NOT_BUILT, ABORTED }

class Stop extends RuntimeException {

    Result result

    Stop(String message, Result result = Result.FAILURE) {
        super(message)
        this.result = result
    }

}

/** A section's closure reads names from its own vocabulary first; then from the Jenkinsfile. */
class Section {

    static <T> T read(T section, Closure body) {
        body.delegate = section
        body.resolveStrategy = Closure.DELEGATE_FIRST
        body()
        return section
    }

}

class When extends Section {

    Map variables
    boolean beforeAgent, beforeInput
    List<Boolean> met = []

    void beforeAgent(boolean value) { beforeAgent = value }

    void beforeInput(boolean value) { beforeInput = value }

    void tag(String pattern) {
        assert !(pattern =~ /[^\w#*-]/) : 'of the globs only the star is known here'
        met << (variables.TAG_NAME ==~ pattern.replace('*', '.*'))
    }

    void branch(String name) { met << (variables.BRANCH_NAME == name) }

    void changeRequest() { met << (variables.CHANGE_ID != null) }

    void environment(Map it) { met << (variables[it.name] == it.value) }

    void expression(Closure body) { met << (body() as boolean) }

    void triggeredBy(String cause) { met << (variables.CAUSE == cause) }

    void allOf(Closure body) { met << read(new When(variables: variables), body).met.every() }

    void not(Closure body) { met << !read(new When(variables: variables), body).met.every() }

    void anyOf(Closure body) { met << read(new When(variables: variables), body).met.any() }

}

class Limits extends Section {

    Map timeout

    void skipDefaultCheckout() { }

    void timeout(Map it) { timeout = it }

    void buildDiscarder(Map it) { assert it }

    Map logRotator(Map it) { return it }

}

class Input extends Section {

    String message, submitter

    void message(String text) { message = text }

    void submitter(String names) { submitter = names }

}

class Label extends Section {

    String label

    void label(String text) { label = text }

}

class Post extends Section {

    static final List ORDER = ['always', 'aborted', 'failure', 'success', 'unsuccessful', 'cleanup']
    Map<String, Closure> bodies = [:]

    void always(Closure body) { bodies.always = body }

    void aborted(Closure body) { bodies.aborted = body }

    void failure(Closure body) { bodies.failure = body }

    void success(Closure body) { bodies.success = body }

    void unsuccessful(Closure body) { bodies.unsuccessful = body }

    void cleanup(Closure body) { bodies.cleanup = body }

    List<Closure> due(String result) {
        Map when = [always: true, cleanup: true, aborted: result == 'ABORTED', failure: result == 'FAILURE',
            success: result == 'SUCCESS', unsuccessful: result != 'SUCCESS']
        return ORDER.findAll { when[it] && bodies[it] }.collect { bodies[it] }
    }

}

class Stages extends Section {

    List<Stage> stages = []

    void stage(String name, Closure body) { stages << read(new Stage(name: name), body) }

}

class Stage extends Section {

    String name
    Closure steps, agent, condition
    Input input
    Stages nested
    Limits limits
    Post after = new Post()

    void steps(Closure body) { steps = body }

    void agent(Closure body) { agent = body }

    void when(Closure body) { condition = body }

    void input(Closure body) { input = read(new Input(), body) }

    void options(Closure body) { limits = read(new Limits(), body) }

    void stages(Closure body) { nested = read(new Stages(), body) }

    void post(Closure body) { read(after, body) }

}

class Pipeline extends Section {

    final Object none = null
    Map defaults = [:]
    String cron
    Stages all
    Limits limits
    Post after = new Post()

    void agent(Object nobody) { assert nobody == null : 'agents are given by stages' }

    void options(Closure body) { limits = read(new Limits(), body) }

    void triggers(Closure body) { read(this, body) }

    void cron(String times) { cron = times }

    void parameters(Closure body) { read(this, body) }

    void string(Map it) { defaults[it.name] = it.defaultValue }

    void booleanParam(Map it) { defaults[it.name] = it.defaultValue }

    void stages(Closure body) { all = read(new Stages(), body) }

    void post(Closure body) { read(after, body) }

}

/** The `currentBuild` of a Jenkinsfile. */
class Current {

    Result worst = Result.SUCCESS
    String description
    long startTimeInMillis

    void setResult(String name) { worst = [worst, Result.valueOf(name)].max() }

    String getCurrentResult() { return worst as String }

}

class Build {

    Map scenario, variables, parameters = [:], secrets = [:], stashes = [:]
    List events = []
    Current current = new Current()
    Script script
    Stop stop
    File workspace
    int nodes

    void run(Pipeline pipeline) {
        assert pipeline.limits.timeout
        if (pipeline.cron) {
            note('cron', pipeline.cron)
        }
        assert !(scenario.parameters.keySet() - pipeline.defaults.keySet()) : 'no such parameter'
        parameters.putAll(pipeline.defaults + scenario.parameters)
        parameters.each { name, value -> variables[name] = value as String } // they hide what a folder sets
        pipeline.all.stages.each { stage(it) }
        finish(pipeline.after)
        if (stop) {
            current.result = stop.result as String
        }
    }

    void stage(Stage stage) {
        assert (stage.steps == null) != (stage.nested == null) : "${stage.name}: steps or stages"
        if (stop) {
            return
        }
        When when = new When(variables: variables)
        if (stage.condition) {
            Section.read(when, stage.condition)
        }
        if (when.beforeAgent && !when.met.every()) {
            return
        }
        if (stage.input) {
            assert when.beforeInput && when.beforeAgent : "${stage.name} asks before it knows whether it is wanted"
            note('input', stage.input.submitter)
            if (scenario.refused) {
                stop = new Stop('refused', Result.ABORTED)
                return
            }
        }
        onAgent(stage) {
            if (when.met.every()) {
                note('stage', stage.name)
                guarded { stage.nested ? stage.nested.stages.each { inner -> this.stage(inner) } : act(stage.steps) }
                finish(stage.after)
            }
        }
    }

    /** Post conditions see the result that the stage's error means. */
    private void finish(Post after) {
        Result result = [current.worst, stop?.result ?: Result.SUCCESS].max()
        after.due(result as String).each { body ->
            Result before = current.worst
            current.worst = result
            guarded { act(body) }
            current.worst = [before, current.worst == result ? before : current.worst].max()
        }
    }

    private void act(Closure steps) {
        steps.delegate = script
        steps.resolveStrategy = Closure.DELEGATE_FIRST
        steps()
    }

    private void guarded(Closure body) {
        try {
            body()
        } catch (Stop found) {
            stop = stop ?: found
        }
    }

    private void onAgent(Stage stage, Closure body) {
        if (stage.agent == null) {
            body()
            return
        }
        assert stage.limits.timeout : "${stage.name} has an agent and no timeout"
        node(Section.read(new Label(), stage.agent).label, body)
    }

    void node(String label, Closure body) {
        assert workspace == null : 'an agent waits idle for another one'
        note('agent', label)
        workspace = new File(scenario.root as String, "node${nodes++}")
        workspace.mkdirs()
        new File(workspace, 'left-by-another-build').text = ''
        body()
        if (workspace.list()) {
            note('left behind', workspace.list() as List)
        }
        workspace = null
    }

    void note(String kind, Object what) { events << [kind: kind, what: what] }

    Object shell(String script, boolean returnStatus, boolean returnStdout = false) {
        assert workspace : "sh without an agent: ${script}"
        List accounts = secrets.values()*.minus('secret of ').unique().sort()
        note('sh', [script: script, secrets: secrets.keySet().sort(), accounts: accounts])
        if (script == scenario.interrupted) {
            throw new Stop('interrupted', Result.valueOf(scenario.interruption as String))
        }
        File file = File.createTempFile('script', '.sh')
        file.text = script
        ProcessBuilder process = new ProcessBuilder('sh', '-xe', file.path).directory(workspace)
        File console = new File(scenario.root as String, 'console.txt')
        process.redirectErrorStream(!returnStdout).redirectOutput(console)
        if (returnStdout) {
            process.redirectError(ProcessBuilder.Redirect.DISCARD)
        }
        process.environment().clear()
        process.environment().putAll(scenario.shell)
        (parameters + variables + secrets).each { name, value -> process.environment()[name] = value as String }
        int code = process.start().waitFor()
        file.delete()
        if (code != 0 && !returnStatus) {
            throw new Stop("script returned exit code ${code}")
        }
        return returnStdout ? console.text : code
    }

}

/** The steps that a Jenkinsfile may use, with the names of their parameters. */
abstract class Steps extends Script {

    static final Map NAMES = [
        sh: ['script', 'returnStatus', 'returnStdout', 'label'], file: ['credentialsId', 'variable'], milestone: ['ordinal', 'label'],
        checkout: ['branches', 'extensions', 'userRemoteConfigs'],
        stash: ['name', 'includes', 'allowEmpty'], archiveArtifacts: ['artifacts', 'allowEmptyArchive'],
        cloneOption: ['shallow', 'noTags', 'reference', 'honorRefspec'],
        string: ['credentialsId', 'variable'],
        usernamePassword: ['credentialsId', 'usernameVariable', 'passwordVariable'],
        gitUsernamePassword: ['credentialsId', 'gitToolName'],
    ]

    private Build getBuild() { return binding.build }

    private Map known(String step, Map given) {
        assert !(given.keySet() - NAMES[step]) : "${step} has no such parameter"
        return given
    }

    void pipeline(Closure body) {
        build.script = this
        build.run(Section.read(new Pipeline(), body))
    }

    Object sh(String script) { return build.shell(script, false) }

    Object sh(Map it) {
        return build.shell(known('sh', it).script as String, it.returnStatus as boolean, it.returnStdout as boolean)
    }

    void error(String message) {
        build.note('error', message)
        throw new Stop(message)
    }

    void milestone(Map it) { build.note('milestone', known('milestone', it).ordinal) }

    Map scmGit(Map it) { return known('checkout', it) }

    Map cloneOption(Map it) { return known('cloneOption', it) }

    Map checkout(Map it) {
        assert !build.workspace.list() : 'checked out over what another build left'
        build.note('checkout', it)
        new File(build.workspace, 'Makefile').text = ''
        return [GIT_COMMIT: it.branches == binding.scm.branches ? 'the head' : 'the main branch']
    }

    void node(String label, Closure body) { build.node(label, body) }

    void dir(String path, Closure body) {
        File outer = build.workspace
        build.workspace = new File(outer, path)
        body()
        build.workspace = outer
    }

    void deleteDir() {
        build.workspace.deleteDir()
        build.workspace.mkdirs()
    }

    void stash(Map it) { build.stashes[known('stash', it).name] = it.includes }

    void unstash(String name) { assert build.stashes[name] : "nothing stashed as ${name}" }

    void archiveArtifacts(Map it) { build.note('archive', known('archiveArtifacts', it).artifacts) }

    Map usernamePassword(Map it) {
        known('usernamePassword', it)
        return [id: it.credentialsId, names: [it.usernameVariable, it.passwordVariable]]
    }

    Map file(Map it) {
        known('file', it)
        return [id: it.credentialsId, names: [it.variable]]
    }

    Map string(Map it) {
        known('string', it)
        return [id: it.credentialsId, names: [it.variable]]
    }

    Map gitUsernamePassword(Map it) {
        return [id: known('gitUsernamePassword', it).credentialsId, names: ['GIT_USERNAME', 'GIT_PASSWORD']]
    }

    void withCredentials(List bindings, Closure body) {
        Map outer = build.secrets
        bindings.each { assert it.id : 'no credentials of an empty id' }
        bindings.each { one ->
            build.secrets += one.names.collectEntries { name -> [name, "secret of ${one.id}" as String] }
        }
        try {
            body()
        } finally {
            build.secrets = outer
        }
    }

}

Map scm = [branches: ['the branch'], extensions: ['the revision'], userRemoteConfigs: [
    [name: 'origin', url: 'https://forge.test/us/ours', credentialsId: 'scan', refspec: '+refs/pull/7/head:refs/PR-7']]]
CompilerConfiguration configuration = new CompilerConfiguration(scriptBaseClass: Steps.name)
List told = new JsonSlurper().parse(new File(args[1])).collect { scenario ->
    Build build = new Build(scenario: scenario, variables: [:] + scenario.variables)
    build.current.startTimeInMillis = new GregorianCalendar(2026, 0, scenario.day as int, 5, 0).timeInMillis
    Binding names = new Binding(build: build, env: build.variables, params: build.parameters, scm: scm,
        currentBuild: build.current)
    new GroovyShell(this.class.classLoader, names, configuration).evaluate(new File(args[0]))
    return [events: build.events, result: build.current.currentResult, description: build.current.description,
        stop: build.stop?.message]
}
println JsonOutput.toJson(told)
