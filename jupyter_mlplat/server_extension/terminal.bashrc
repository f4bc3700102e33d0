# Started for each terminal of an instance: the user's own settings first, then the environment on top of them.
[ -r /etc/bash.bashrc ] && . /etc/bash.bashrc
[ -r "$HOME/.bashrc" ] && . "$HOME/.bashrc"
case ":$PATH:" in
    ":$VIRTUAL_ENV/bin:"*) ;;
    *) PATH=$VIRTUAL_ENV/bin:$PATH ;;
esac
hash -r
PS1='\[\e[36m\]${MLPLAT_INSTANCE_NAME:-instance}\[\e[0m\] \w \$ '
